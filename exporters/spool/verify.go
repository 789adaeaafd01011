// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
)

// bbolt trusts its file. One damaged byte can make its tree a circle, which it
// walks until the memory is used up, or make it free pages that are in use.
// [verify] walks the tree first, without bbolt and bounded by the size of the
// file: every page within the file and used once, every element within its page.
// What records say is protected by checksums of their own.
//
// The format is bbolt's version 2, unchanged since 2014. Numbers are in the byte
// order of the machine.

const (
	pageHeader   = 16
	elementSize  = 16
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01
	bucketSize   = 16
	maxPageSize  = 64 << 10
	noFreelist   = 1<<64 - 1
)

// walk is one look at a file.
type walk struct {
	file     io.ReaderAt
	pages    uint64 // that the file has room for
	pageSize int64
	meta     meta
	used     []bool
	todo     []uint64 // pages of the tree still to be looked at
	buf      []byte   // the page that is looked at
}

type meta struct {
	pageSize             uint32
	root, freelist, high uint64
	txid                 uint64
}

func verify(file io.ReaderAt, size int64) error {
	m, err := newestMeta(file, size)
	if err != nil {
		return err
	}
	pages := uint64(size / int64(m.pageSize))
	w := &walk{
		file: file, pageSize: int64(m.pageSize), meta: m, pages: pages,
		used: make([]bool, pages), todo: []uint64{m.root},
	}
	for len(w.todo) > 0 {
		id := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.tree(id); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	if m.freelist == noFreelist {
		return nil
	}
	if err := w.freelist(m.freelist); err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	return nil
}

// newestMeta returns the valid one of the two pages that describe the file.
func newestMeta(file io.ReaderAt, size int64) (newest meta, err error) {
	for at := int64(0); at <= maxPageSize && at+pageHeader+metaSize <= size; at = max(2*at, 1024) {
		b := make([]byte, metaSize)
		if _, err := file.ReadAt(b, at+pageHeader); err != nil {
			return meta{}, err
		}
		if m, ok := readMeta(b); ok && (at == 0 || at == int64(m.pageSize)) && (newest.pageSize == 0 || m.txid > newest.txid) {
			newest = m
		}
	}
	if newest.pageSize == 0 {
		return meta{}, errors.New("it is not described by a valid page")
	}
	return newest, nil
}

func readMeta(b []byte) (meta, bool) {
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // never fails, by its documentation
	m := meta{pageSize: u32(b[8:]), root: u64(b[16:]), freelist: u64(b[32:]), high: u64(b[40:]), txid: u64(b[48:])}
	ok := u32(b) == metaMagic && u32(b[4:]) == metaVersion && sum.Sum64() == u64(b[56:]) && m.pageSize >= 512 && m.pageSize <= maxPageSize
	return m, ok
}

// page reads a page with its overflow and marks it as used. What it returns is good
// until the next call.
func (w *walk) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.meta.high || id >= w.pages {
		return nil, errors.New("beyond the end")
	}
	header, err := w.read(id, pageHeader)
	if err != nil {
		return nil, err
	}
	if binary.NativeEndian.Uint64(header) != id {
		return nil, errors.New("it says that it is another one")
	}
	n := uint64(binary.NativeEndian.Uint32(header[12:])) + 1
	if id+n > w.meta.high || id+n > w.pages {
		return nil, errors.New("it goes on beyond the end")
	}
	for i := id; i < id+n; i++ {
		if w.used[i] {
			return nil, errors.New("used twice")
		}
		w.used[i] = true
	}
	return w.read(id, int64(n)*w.pageSize)
}

func (w *walk) read(id uint64, n int64) ([]byte, error) {
	w.buf = slices.Grow(w.buf[:0], int(n))[:n]
	_, err := w.file.ReadAt(w.buf, int64(id)*w.pageSize)
	return w.buf, err
}

// tree checks one page of the tree and notes those below it.
func (w *walk) tree(id uint64) error {
	b, err := w.page(id)
	if err != nil {
		return err
	}
	return w.elements(b)
}

// elements checks a page, or what stands for one within the value of a bucket.
func (w *walk) elements(b []byte) error {
	flags, count := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || flags == branchPage && count == 0 {
		return fmt.Errorf("of kind %#x with %d elements", flags, count)
	}
	if pageHeader+count*elementSize > len(b) {
		return errors.New("too many elements")
	}
	for i := range count {
		at := pageHeader + i*elementSize
		err := w.leaf(b, at)
		if flags == branchPage {
			err = w.branch(b, at)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

func (w *walk) branch(b []byte, at int) error {
	u32 := binary.NativeEndian.Uint32
	if uint64(at)+uint64(u32(b[at:]))+uint64(u32(b[at+4:])) > uint64(len(b)) {
		return errors.New("its key is not within the page")
	}
	w.todo = append(w.todo, binary.NativeEndian.Uint64(b[at+8:]))
	return nil
}

func (w *walk) leaf(b []byte, at int) error {
	u32 := binary.NativeEndian.Uint32
	flags, key := u32(b[at:]), uint64(at)+uint64(u32(b[at+4:]))
	value := key + uint64(u32(b[at+8:]))
	end := value + uint64(u32(b[at+12:]))
	if end > uint64(len(b)) {
		return errors.New("it is not within the page")
	}
	if flags&bucketFlag == 0 {
		return nil
	}
	return w.bucket(b[value:end])
}

// bucket is a tree of its own, or a single page within its value.
func (w *walk) bucket(v []byte) error {
	if len(v) < bucketSize {
		return errors.New("a bucket that is cut off")
	}
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		w.todo = append(w.todo, root)
		return nil
	}
	if v = v[bucketSize:]; len(v) < pageHeader || binary.NativeEndian.Uint16(v[8:]) != leafPage {
		return errors.New("a bucket without a page")
	}
	return w.elements(v)
}

// freelist checks that the pages to be written over are not in use.
func (w *walk) freelist(id uint64) error {
	b, err := w.page(id)
	if err != nil {
		return err
	}
	if binary.NativeEndian.Uint16(b[8:]) != freelistPage {
		return errors.New("of another kind")
	}
	count, ids := uint64(binary.NativeEndian.Uint16(b[10:])), b[pageHeader:]
	if count == 0xffff { // too many for the header
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return errors.New("longer than its page")
	}
	for i := range count {
		free := binary.NativeEndian.Uint64(ids[8*i:])
		if free < 2 || free >= w.meta.high || free >= w.pages || w.used[free] {
			return fmt.Errorf("page %d is in use, or none", free)
		}
		w.used[free] = true
	}
	return nil
}
