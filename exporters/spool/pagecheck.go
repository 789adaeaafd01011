// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// bbolt trusts its file. After damage to a page number its tree may contain a cycle, which
// it follows until memory is exhausted, or share pages with the free list. bbolt's own
// check, [bolt.Tx.Check], does not help: it follows page numbers on a goroutine of its
// own, where a fault in mapped memory ends the process. checkPages makes sure that the tree
// is finite, within the file and disjoint from the free list. The checksums of the records
// cover the rest.

// Sizes and flags of bbolt's page format, which has not changed since 2014. Numbers are in
// the byte order of the machine.
const (
	pageHeaderSize   = 16
	elementSize      = 16 // of a branch or leaf element
	bucketHeaderSize = 16
	bucketFlag       = 0x01
)

// pageCheck is a walk of the pages that the root bucket can reach.
type pageCheck struct {
	tx        *bolt.Tx
	file      *os.File
	pageSize  int64
	reachable []bool
	queue     []uint64
}

// checkPages takes time in proportion to the size of the file.
func checkPages(db *bolt.DB, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%d bytes long, want %d", info.Size(), tx.Size())
		}
		c := &pageCheck{
			tx: tx, file: file, pageSize: int64(db.Info().PageSize),
			queue: []uint64{uint64(tx.Cursor().Bucket().Root())},
		}
		c.reachable = make([]bool, tx.Size()/c.pageSize)
		for len(c.queue) > 0 {
			id := c.queue[0]
			c.queue = c.queue[1:]
			if err := c.page(id); err != nil {
				return fmt.Errorf("page %d: %w", id, err)
			}
		}
		return c.freeList(db.Stats().FreePageN)
	})
}

// claim marks a page with its overflow pages as reachable.
func (c *pageCheck) claim(id uint64, overflow int) error {
	end := id + uint64(overflow) + 1
	if id < 2 || id >= uint64(len(c.reachable)) || end > uint64(len(c.reachable)) {
		return errors.New("not within the file")
	}
	for i := id; i < end; i++ {
		if c.reachable[i] {
			return errors.New("used twice")
		}
		c.reachable[i] = true
	}
	return nil
}

// page checks one page with its overflow pages and queues its children.
func (c *pageCheck) page(id uint64) error {
	if id >= uint64(len(c.reachable)) {
		return errors.New("not within the file")
	}
	info, err := c.tx.Page(int(id))
	if err != nil {
		return err
	}
	if err := c.claim(id, info.OverflowCount); err != nil {
		return err
	}
	b := make([]byte, int64(info.OverflowCount+1)*c.pageSize)
	if _, err := c.file.ReadAt(b, int64(id)*c.pageSize); err != nil {
		return err
	}
	if binary.NativeEndian.Uint64(b) != id {
		return errors.New("its header has another page number")
	}
	return c.elements(b, info.Type, info.Count)
}

// elements checks that the elements of a page lie within it.
func (c *pageCheck) elements(b []byte, kind string, count int) error {
	if pageHeaderSize+count*elementSize > len(b) {
		return fmt.Errorf("%d elements", count)
	}
	u32 := binary.NativeEndian.Uint32
	for i := range count {
		at := pageHeaderSize + i*elementSize
		e := b[at : at+elementSize]
		var err error
		switch kind {
		case "branch": // position and size of the key, page number
			if uint64(at)+uint64(u32(e))+uint64(u32(e[4:])) > uint64(len(b)) {
				err = errors.New("key not within the page")
			}
			c.queue = append(c.queue, binary.NativeEndian.Uint64(e[8:]))
		case "leaf": // flags, position, sizes of the key and the value
			value := uint64(at) + uint64(u32(e[4:])) + uint64(u32(e[8:]))
			end := value + uint64(u32(e[12:]))
			if end > uint64(len(b)) {
				err = errors.New("not within the page")
			} else if u32(e)&bucketFlag != 0 {
				err = c.bucket(b[value:end])
			}
		default:
			err = fmt.Errorf("in a page of type %s", kind)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	if count == 0 && kind != "leaf" {
		return fmt.Errorf("of type %s", kind)
	}
	return nil
}

// bucket queues the root page of a bucket, or checks the page inside its value.
func (c *pageCheck) bucket(v []byte) error {
	if len(v) < bucketHeaderSize+pageHeaderSize && (len(v) < bucketHeaderSize || binary.NativeEndian.Uint64(v) == 0) {
		return errors.New("bucket too short")
	}
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		c.queue = append(c.queue, root)
		return nil
	}
	page := v[bucketHeaderSize:]
	if flags := binary.NativeEndian.Uint16(page[8:]); flags != 0x02 {
		return fmt.Errorf("inline page with flags %#x", flags)
	}
	return c.elements(page, "leaf", int(binary.NativeEndian.Uint16(page[10:])))
}

// freeList checks that the free list has count different pages, and that neither they nor
// the pages that hold the list are reachable.
func (c *pageCheck) freeList(count int) error {
	free, found := 0, false
	for id := 2; id < len(c.reachable); id++ {
		info, err := c.tx.Page(id)
		if err != nil {
			return err
		}
		switch {
		case info.Type == "free" && c.reachable[id]:
			return fmt.Errorf("page %d is both used and free", id)
		case info.Type == "free":
			free++
		case info.Type == "freelist" && !c.reachable[id]:
			found = true
			if err := c.claim(uint64(id), info.OverflowCount); err != nil {
				return fmt.Errorf("list of free pages: %w", err)
			}
		}
	}
	if !found || free != count {
		return fmt.Errorf("the list of free pages (found: %v) has %d entries, %d of them valid", found, count, free)
	}
	return nil
}
