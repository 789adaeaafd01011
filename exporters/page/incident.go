// SPDX-License-Identifier: Apache-2.0

package page

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// incidentBytes is how much of captures goes into one zip.
	incidentBytes = 64 << 20
	// incidentSlack is how far from the moment a capture may lie to belong to it.
	incidentSlack = 2 * time.Minute
)

// incident is everything about a moment but the captures.
type incident struct {
	momentJSON
	history []byte // CSV
}

// serveIncident sends everything about a moment as one zip, made as it is sent.
func (e *Exporter) serveIncident(c *captures) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, to, err := timeRange(r)
		if err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		var m incident
		if e.sending.Full() || !e.heavy.run(r.Context(), func() {
			m.momentJSON = e.moment(from, to)
			m.history = e.csv(m.Before[0], m.To)
		}) {
			busy(w)
			return
		}
		a := e.open(w, len(m.history)+downloadBytes)
		if a == nil {
			return
		}
		defer a.Close()
		name := "gmpulse-" + time.UnixMilli(m.From).UTC().Format("20060102T150405Z") + ".zip"
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		z := zip.NewWriter(a)
		if err := e.pack(z, &m, c); err == nil {
			_ = z.Close() // the client is gone: nobody to tell
		}
	}
}

// pack writes the files of an incident.
func (e *Exporter) pack(z *zip.Writer, m *incident, c *captures) error {
	moment, err := json.MarshalIndent(&m.momentJSON, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"README.txt", []byte(e.readme(&m.momentJSON))},
		{"moment.json", moment},
		{"history.csv", m.history},
	} {
		if err := put(z, f.name, bytes.NewReader(f.data)); err != nil {
			return err
		}
	}
	return c.pack(z, &m.momentJSON)
}

func put(z *zip.Writer, name string, from io.Reader) error {
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, from)
	return err
}

// pack adds the captures near the moment, the newest first.
func (c *captures) pack(z *zip.Writer, m *momentJSON) error {
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
			if err := c.packFile(z, b.ID, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *captures) packFile(z *zip.Writer, id, name string) error {
	f, err := c.file(id, name)
	if err != nil {
		return nil // it was removed meanwhile
	}
	defer func() { _ = f.Close() }() // it was only read
	return put(z, "captures/"+id+"/"+name, f)
}

// csv has every column of a range, a row for each sample.
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
			if v := at(row, c); !isAbsent(v) {
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
	s := e.latest.Load()
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	fmt.Fprintf(&b, "gmpulse incident: %s %s, instance %s, %s\n\n", attribute(s, "service.name"), attribute(s, "service.version"),
		attribute(s, "service.instance.id"), attribute(s, "process.runtime.version"))
	fmt.Fprintf(&b, "moment    %s to %s\ncompared  %s to %s\n\n", stamp(m.From), stamp(m.To), stamp(m.Before[0]), stamp(m.Before[1]))
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
moment.json   before and during, for every column; groups of goroutines; spans; events
history.csv   every column, a row for each sample; counters as rates per second
captures/     profiles: go tool pprof -http=: FILE    traces: go tool trace FILE
`)
	return b.String()
}
