// SPDX-License-Identifier: Apache-2.0

// Package sbom tests that sbom.cdx.json in the root of each published module is up to date. The file
// lists, in CycloneDX 1.6, the modules that a program with this module links. In the main module it
// also has the JavaScript library in the live page.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the lists")

const root = "../.."

// ours begins the paths of the modules of this repository.
const ours = "github.com/gmpulse/gmpulse"

// published are the folders of the modules that programs require, and their packages.
var published = map[string][]string{
	".":                           {"./agent/...", "./exporters/...", "./runtimeinfo/...", "./tracectx/...", "./cmd/..."},
	"exporters/otlp/otlphttp":     {"./..."},
	"exporters/otlp/otlpprofiles": {"./..."},
}

// module is a module as go list prints it.
type module struct {
	Path, Version, Sum string
	Main               bool
	Replace            *module
}

func (m *module) ours() bool { return m.Path == ours || strings.HasPrefix(m.Path, ours+"/") }

func (m *module) purl() string {
	if m.ours() { // the version is the tag that the user requires
		return "pkg:golang/" + m.Path
	}
	return "pkg:golang/" + m.Path + "@" + m.Version
}

type (
	document struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Ref      string        `json:"bom-ref"`
		Type     string        `json:"type"`
		Name     string        `json:"name"`
		Version  string        `json:"version,omitempty"`
		Hashes   []hash        `json:"hashes,omitempty"` // of a module as in go.sum: the hash of the list of its file hashes
		Licenses []licenseItem `json:"licenses,omitempty"`
		PURL     string        `json:"purl"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	licenseItem struct {
		License license `json:"license"`
	}
	license struct {
		ID string `json:"id"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// graph has the modules and the dependencies between them.
type graph struct {
	modules map[string]*module // by path
	needs   map[string]map[string]bool
}

// read adds what a program with the module in a folder links on an operating system, given as GOOS.
func (g *graph) read(t *testing.T, folder, system string) {
	t.Helper()
	type goPackage struct {
		ImportPath string
		Imports    []string
		Module     *module
	}
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-json=ImportPath,Imports,Module"}, published[folder]...)...) //nolint:gosec // the arguments are in this file
	list.Dir = filepath.Join(root, folder)
	list.Env = append(os.Environ(), "GOWORK=off", "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	of := map[string]*module{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if m := p.Module; m != nil {
			if m.Replace != nil && !m.ours() {
				t.Fatalf("%s is replaced, but replace directives do not apply to users of gmpulse", m.Path)
			}
			packages, of[p.ImportPath], g.modules[m.Path] = append(packages, p), m, m
		}
	}
	for i := range packages {
		from := packages[i].Module.Path
		if g.needs[from] == nil {
			g.needs[from] = map[string]bool{}
		}
		for _, name := range packages[i].Imports {
			if to := of[name]; to != nil && to.Path != from {
				g.needs[from][to.purl()] = true
			}
		}
	}
}

// sum returns the hash of a module from go.sum, in the hexadecimal form of CycloneDX.
func sum(t *testing.T, m *module) []hash {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(b) != 32 {
		t.Fatalf("%s: malformed sum %q (%v)", m.Path, m.Sum, err)
	}
	return []hash{{"SHA-256", hex.EncodeToString(b)}}
}

func (g *graph) document(t *testing.T) *document {
	t.Helper()
	d := &document{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1}
	for _, name := range slices.Sorted(maps.Keys(g.modules)) {
		m := g.modules[name]
		c := component{Ref: m.purl(), Type: "library", Name: name, PURL: m.purl()}
		if m.ours() {
			c.Licenses = []licenseItem{{license{"Apache-2.0"}}}
		} else {
			c.Version, c.Hashes = m.Version, sum(t, m)
		}
		if m.Main {
			d.Metadata.Component = c
		} else {
			d.Components = append(d.Components, c)
		}
		d.Dependencies = append(d.Dependencies, dependency{m.purl(), slices.AppendSeq([]string{}, maps.Keys(g.needs[name]))})
		slices.Sort(d.Dependencies[len(d.Dependencies)-1].DependsOn)
	}
	return d
}

// embedded returns the library that the live page has as a file. Its version is in the first line.
func embedded(t *testing.T) component {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "exporters/page/assets/uplot.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	_, version, found := strings.Cut(first, "uPlot (v")
	version, _, closed := strings.Cut(version, ")")
	if !found || !closed {
		t.Fatalf("no version of uPlot in %q", first)
	}
	sum := sha256.Sum256(text)
	purl := "pkg:npm/uplot@" + version
	return component{
		Ref: purl, Type: "library", Name: "uplot", Version: version, PURL: purl,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licenses: []licenseItem{{license{"MIT"}}},
	}
}

// addEmbedded adds the library that the live page has as a file to the dependencies of the module.
func (d *document) addEmbedded(t *testing.T) {
	t.Helper()
	uplot := embedded(t)
	d.Components = append(d.Components, uplot)
	for i := range d.Dependencies {
		if d.Dependencies[i].Ref == d.Metadata.Component.Ref {
			d.Dependencies[i].DependsOn = append(d.Dependencies[i].DependsOn, uplot.Ref)
		}
	}
	d.Dependencies = append(d.Dependencies, dependency{uplot.Ref, []string{}})
}

func (d *document) encode(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSBOMMatchesGoList(t *testing.T) {
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Skip("the list is of a build with Go 1.26; with a newer release, the client of Prometheus's API needs three modules less")
	}
	for folder := range published {
		t.Run(folder, func(t *testing.T) {
			g := &graph{map[string]*module{}, map[string]map[string]bool{}}
			for _, system := range []string{"linux", "darwin", "windows"} {
				g.read(t, folder, system)
			}
			d := g.document(t)
			if want := path.Join(ours, folder); len(d.Components) == 0 || d.Metadata.Component.Name != want {
				t.Fatalf("found %d components and the main module %q, want %s", len(d.Components), d.Metadata.Component.Name, want)
			}
			if folder == "." {
				d.addEmbedded(t)
			}
			want, file := d.encode(t), filepath.Join(root, folder, "sbom.cdx.json")
			if *update {
				if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // the mode that git gives it
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
				t.Errorf("sbom.cdx.json is out of date: go test ./internal/sbom -update (%v)", err)
			}
		})
	}
}

// TestPublishedModulesHaveAnSBOM compares published with the modules below the folders of the public API.
func TestPublishedModulesHaveAnSBOM(t *testing.T) {
	found := map[string]bool{".": true}
	for _, top := range []string{"agent", "exporters", "runtimeinfo", "tracectx", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, _ fs.DirEntry, err error) error {
			if filepath.Base(file) == "go.mod" {
				folder, _ := filepath.Rel(root, filepath.Dir(file))
				found[filepath.ToSlash(folder)] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for folder := range found {
		if published[folder] == nil {
			t.Errorf("%s is a module without sbom.cdx.json: add it to published", folder)
		}
	}
}
