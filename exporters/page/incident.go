// SPDX-License-Identifier: Apache-2.0

package page

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// incidentBytes bounds the captures in one zip file.
	incidentBytes = 64 << 20
	// incidentSlack is how far from the moment a capture may be to be included.
	incidentSlack = 2 * time.Minute
)

// serveIncident sends everything about a moment as a zip file, which is packed while
// it is sent.
func (e *Exporter) serveIncident(c *captures) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, to, err := timeRange(r, "")
		if err != nil {
			failWith(w, err)
			return
		}
		var m *momentJSON
		var history []byte
		if e.sending.Full() || !e.heavy.run(r.Context(), func() {
			m = e.moment(from, to)
			history = e.csv(m.Before[0], m.To)
		}) {
			busy(w)
			return
		}
		a := e.reserve(w, len(history)+downloadBytes)
		if a == nil {
			return
		}
		defer a.Close()
		name := "gmpulse-" + time.UnixMilli(m.From).UTC().Format("20060102T150405Z") + ".zip"
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		z := zip.NewWriter(a)
		if err := e.writeIncident(z, m, history, c); err == nil {
			_ = z.Close() // an error means that the client is gone
		}
	}
}

func (e *Exporter) writeIncident(z *zip.Writer, m *momentJSON, history []byte, c *captures) error {
	moment, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join( // z writes nothing after an error
		addFile(z, "README.txt", strings.NewReader(e.readme(m))),
		addFile(z, "moment.json", bytes.NewReader(moment)),
		addFile(z, "history.csv", bytes.NewReader(history)),
		c.writeNear(z, m),
	)
}

func addFile(z *zip.Writer, name string, from io.Reader) error {
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, from)
	return err
}

// writeNear adds the captures near a moment, newest first, up to incidentBytes.
func (c *captures) writeNear(z *zip.Writer, m *momentJSON) error {
	list, err := c.list()
	if err != nil {
		return err
	}
	slack := incidentSlack.Milliseconds()
	room := int64(incidentBytes)
	for _, b := range list {
		if b.Time < m.From-slack || b.Time > m.To+slack {
			continue
		}
		for _, f := range b.Files {
			if f.Size > room {
				continue
			}
			room -= f.Size
			if err := c.writeFile(z, b.ID, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *captures) writeFile(z *zip.Writer, id, name string) error {
	f, _, err := c.open(id, name)
	if err != nil {
		return nil // it was removed meanwhile
	}
	defer func() { _ = f.Close() }() // it was only read
	return addFile(z, "captures/"+id+"/"+name, f)
}

// csv returns every column of a range, with a line for each row.
func (e *Exporter) csv(from, to int64) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	keys := e.history.directory()
	_ = w.Write(append([]string{"time"}, keys...)) // into memory
	t := e.history.read(from, to, nil)
	record := make([]string, len(keys)+1)
	for i, row := range t.rows {
		record[0] = time.UnixMilli(t.times[i]).UTC().Format("2006-01-02T15:04:05.000Z")
		for c := range keys {
			record[c+1] = ""
			if v := valueAt(row, c); !isAbsent(v) {
				record[c+1] = strconv.FormatFloat(float64(v), 'g', -1, 32)
			}
		}
		_ = w.Write(record) // into memory
	}
	w.Flush()
	return b.Bytes()
}

func (e *Exporter) readme(m *momentJSON) string {
	var b strings.Builder
	resource := e.resource()
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	fmt.Fprintf(&b, "gmpulse incident: %s %s, instance %s, %s\n\n", resource["service.name"], resource["service.version"],
		resource["service.instance.id"], resource["process.runtime.version"])
	fmt.Fprintf(&b, "moment         %s to %s\ncompared with  %s to %s\n\n", stamp(m.From), stamp(m.To), stamp(m.Before[0]), stamp(m.Before[1]))
	for i := range m.Groups {
		g := &m.Groups[i]
		if g.Verdict == nil {
			continue
		}
		fmt.Fprintf(&b, "%s: %d goroutines (%d before) in %s at %s\n", g.Verdict.Kind, g.Count, g.Before, g.Wait, g.Site)
		for _, root := range g.Roots {
			fmt.Fprintf(&b, "    created under %s (%d)\n", root.Name, root.Count)
		}
		if g.Verdict.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", g.Verdict.Hint)
		}
	}
	b.WriteString(`
moment.json   every column before and during the moment; groups of goroutines; spans; events
history.csv   every column, with a line for each row; counters as rates per second
captures/     profiles: go tool pprof -http=: FILE    traces: go tool trace FILE
`)
	return b.String()
}
