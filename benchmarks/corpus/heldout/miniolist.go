// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// minioList imitates minio/minio-go#388 and what the documentation of ListObjects
// warns of: the caller takes the first object, and neither drains the channel nor
// cancels the context.
func minioList() kit.Program {
	return kit.Program{Name: "minio-list-undrained", Library: "minio/minio-go/v7", Spans: kit.Private, Want: kit.Leak("GET /latest", "minio-go", "heldout.latestBackup"), Run: func(w *kit.World) {
		client, err := minio.New(w.Role("s3", nil), &minio.Options{Creds: credentials.NewStaticV4("corpus", "corpus123", ""), Region: "us-east-1"})
		kit.Must(err)
		w.ServeRoute("GET /latest", 2, func(ctx context.Context) { latestBackup(context.WithoutCancel(ctx), client) })
	}, Roles: map[string]func(*kit.Role){"s3": fakeS3}}
}

func latestBackup(ctx context.Context, client *minio.Client) string {
	for o := range client.ListObjects(ctx, "backups", minio.ListObjectsOptions{Recursive: true}) {
		if o.Err == nil {
			return o.Key
		}
	}
	return ""
}

// fakeS3 answers every request with a list of 50 objects. It says its address.
func fakeS3(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	body := `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>backups</Name><IsTruncated>false</IsTruncated><KeyCount>50</KeyCount>`
	for i := range 50 {
		body += fmt.Sprintf(`<Contents><Key>backup-%02d</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"a"</ETag><Size>7</Size></Contents>`, i)
	}
	body += "</ListBucketResult>"
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(rw, body)
	})}
	go func() { _ = s.Serve(l) }()
	r.Say(l.Addr().String())
}
