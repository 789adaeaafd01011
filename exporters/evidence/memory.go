// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"archive/zip"
	"bytes"
	"slices"
)

const (
	keptInMemory = 2       // bundles
	maxInMemory  = 8 << 20 // bytes per bundle
)

// memory keeps the last bundles in a zip archive, because zip.Reader is an fs.FS.
type memory struct {
	kept  []*bundle
	files *zip.Reader // of all of them; put makes a new one
}

// put adds a bundle and removes the oldest one if necessary.
func (m *memory) put(b *bundle) error {
	if m.kept = append(m.kept, b); len(m.kept) > keptInMemory {
		m.kept = slices.Delete(m.kept, 0, 1)
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, b := range m.kept {
		for _, c := range b.files {
			w, err := z.CreateHeader(&zip.FileHeader{Name: b.manifest.ID + "/" + c.name, Method: zip.Store, Modified: b.manifest.Time})
			if err != nil {
				return err
			}
			if _, err := w.Write(c.bytes); err != nil {
				return err
			}
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	files, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	m.files = files
	return err
}
