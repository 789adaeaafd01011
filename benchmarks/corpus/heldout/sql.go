// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
)

// sqlPool imitates database/sql's connection pool under load: at the peak requests
// wait for one of eight connections, for seconds.
func sqlPool() kit.Program {
	return kit.Program{Name: "sql-pool", Library: "database/sql", Run: func(w *kit.World) {
		db := sql.OpenDB(fakeSQL{})
		db.SetMaxOpenConns(8)
		db.SetConnMaxIdleTime(20 * time.Second)
		mux := http.NewServeMux()
		mux.HandleFunc("/invoice", w.Handle("POST /invoice", func(rw http.ResponseWriter, r *http.Request) {
			tx, err := db.BeginTx(r.Context(), nil)
			if err != nil {
				return
			}
			defer tx.Rollback() //nolint:errcheck // only reads
			time.Sleep(600 * time.Millisecond)
			var n int
			fmt.Fprintln(rw, tx.QueryRowContext(r.Context(), "select 1").Scan(&n), n)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/invoice", Method: http.MethodPost, Closed: 60, Pause: 5 * time.Second, Rate: kit.Wave(1)})
	}}
}

// sqlRows is what the documentation of database/sql warns of:
// rows are not closed on one path, and after half a minute the pool of ten is
// exhausted and every request hangs.
func sqlRows() kit.Program {
	return kit.Program{Name: "sql-rows", Library: "database/sql", Spans: kit.None, Want: kit.Hang("", "database/sql.(*DB).conn", "heldout.userNames"), Run: func(w *kit.World) {
		db := sql.OpenDB(fakeSQL{})
		db.SetMaxOpenConns(10)
		var n atomic.Int64
		mux := http.NewServeMux()
		mux.HandleFunc("/user", w.Handle("GET /user", func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(rw, userNames(context.WithoutCancel(r.Context()), db, n.Add(1)%30 == 0))
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/user", Rate: kit.Constant(10)})
	}}
}

func userNames(ctx context.Context, db *sql.DB, unknown bool) (n int) {
	rows, err := db.QueryContext(ctx, "select id from users")
	if err != nil || unknown {
		return 0 // an early return
	}
	defer rows.Close() //nolint:errcheck // only reads
	for rows.Next() {
		n++
	}
	return n
}

// fakeSQL is a driver whose queries return two rows.
type fakeSQL struct{}

func (f fakeSQL) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f fakeSQL) Driver() driver.Driver                        { return f }
func (f fakeSQL) Open(string) (driver.Conn, error)             { return f, nil }
func (f fakeSQL) Begin() (driver.Tx, error)                    { return f, nil }
func (f fakeSQL) Prepare(string) (driver.Stmt, error)          { return f, nil }
func (fakeSQL) Commit() error                                  { return nil }
func (fakeSQL) Rollback() error                                { return nil }
func (fakeSQL) Close() error                                   { return nil }
func (fakeSQL) NumInput() int                                  { return 0 }
func (fakeSQL) Exec([]driver.Value) (driver.Result, error)     { return driver.ResultNoRows, nil }
func (fakeSQL) Query([]driver.Value) (driver.Rows, error)      { return &fakeRows{}, nil }

type fakeRows struct{ n int64 }

func (*fakeRows) Columns() []string { return []string{"id"} }
func (*fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(into []driver.Value) error {
	r.n++
	if r.n > 2 {
		return io.EOF
	}
	into[0] = r.n
	return nil
}
