// fault_test.go: what a client may do wrong, what may go wrong with its server, and that neither ends
// a session. Named to come first: the restart leaves the address to the tests that follow.
package clients

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/apache/incubator-pegasus/go-client/idl/base"
	"github.com/apache/incubator-pegasus/go-client/idl/rrdb"
	"github.com/apache/incubator-pegasus/go-client/session"
)

func replicaSession() *session.ReplicaSession {
	return session.NewReplicaManager(session.NewNodeSession).GetReplica(metaAddr)
}

func rawKey(hash, sort string) *base.Blob {
	key := append([]byte{0, byte(len(hash))}, hash...)
	return &base.Blob{Data: append(key, sort...)}
}

// Each refusal has its name, and after each the session answers: an error that this client had no name
// for would have silenced it.
func TestRefusals(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	rs := replicaSession()
	here := &base.Gpid{Appid: id, PartitionIndex: 0}
	put := func(gpid *base.Gpid, value []byte) error {
		_, err := rs.Put(within(2*time.Second), gpid, 0, &rrdb.UpdateRequest{Key: rawKey("h", "s"),
			Value: &base.Blob{Data: value}})
		return err
	}
	get := func(gpid *base.Gpid) error {
		_, err := rs.Get(within(2*time.Second), gpid, 0, rawKey("h", "s"))
		return err
	}
	small, large := b("v"), bytes.Repeat(b("v"), 2<<20)
	for i, c := range []struct {
		err  error
		want error
	}{
		{put(here, small), nil},
		{put(&base.Gpid{Appid: 9999, PartitionIndex: 0}, small), base.ERR_OBJECT_NOT_FOUND},
		{get(&base.Gpid{Appid: 9999, PartitionIndex: 0}), base.ERR_OBJECT_NOT_FOUND},
		{get(&base.Gpid{Appid: id, PartitionIndex: 4}), base.ERR_OBJECT_NOT_FOUND},
		{get(&base.Gpid{Appid: id, PartitionIndex: -1}), base.ERR_OBJECT_NOT_FOUND},
		{get(&base.Gpid{}), base.ERR_HANDLER_NOT_FOUND}, // A data rpc belongs to a partition.
		{put(here, large), base.ERR_INVALID_DATA},
		{get(here), nil},
	} {
		if c.err != c.want {
			t.Fatalf("case %d: %v, not %v", i, c.err, c.want)
		}
	}
}

// Storage's own words come inside the answer.
func TestBadArguments(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	rs := replicaSession()
	here := &base.Gpid{Appid: id, PartitionIndex: 0}
	const invalidArgument = 4
	multiPut, err := rs.MultiSet(soon(), here, 0, &rrdb.MultiPutRequest{HashKey: &base.Blob{Data: b("h")}})
	must(t, err)
	equal(t, multiPut.Error, int32(invalidArgument))
	multiDel, err := rs.MultiDelete(soon(), here, 0, &rrdb.MultiRemoveRequest{HashKey: &base.Blob{Data: b("h")}})
	must(t, err)
	equal(t, multiDel.Error, int32(invalidArgument))
	scan, err := rs.Scan(soon(), here, 0, &rrdb.ScanRequest{ContextID: 12345})
	must(t, err)
	equal(t, scan.Error, int32(1)) // A context that is not there is "not found".
	bad, err := rs.MultiGet(soon(), here, 0, &rrdb.MultiGetRequest{HashKey: &base.Blob{Data: b("h")},
		StartSortkey: &base.Blob{}, StopSortkey: &base.Blob{}, SortKeyFilterPattern: &base.Blob{Data: b("x")},
		SortKeyFilterType: 77})
	must(t, err)
	equal(t, bad.Error, int32(invalidArgument))
	_, err = rs.Put(soon(), here, 0, &rrdb.UpdateRequest{Key: rawKey("h", "s"), Value: &base.Blob{Data: b("word")}})
	must(t, err)
	incr, err := rs.Incr(soon(), here, 0, &rrdb.IncrRequest{Key: rawKey("h", "s"), Increment: 1})
	must(t, err)
	equal(t, incr.Error, int32(invalidArgument))
	cas, err := rs.CheckAndSet(soon(), here, 0, &rrdb.CheckAndSetRequest{HashKey: &base.Blob{Data: b("h")},
		CheckSortKey: &base.Blob{Data: b("s")}, CheckType: rrdb.CasCheckType_CT_VALUE_INT_LESS,
		CheckOperand: &base.Blob{Data: b("1")}, SetSortKey: &base.Blob{}, SetValue: &base.Blob{}})
	must(t, err)
	equal(t, cas.Error, int32(invalidArgument))
}

// Many calls on one connection, whose answers come in any order.
func TestManyAtOnce(t *testing.T) {
	table := newTable(t)
	wrong := make(chan string, 64)
	for w := 0; w < 64; w++ {
		go func(w int) {
			for i := 0; i < 30; i++ {
				key, want := b(fmt.Sprintf("h%d-%d", w, i)), b(fmt.Sprintf("v%d-%d", w, i))
				err := table.Set(soon(), key, b("s"), want)
				got, err2 := table.Get(soon(), key, b("s"))
				if err != nil || err2 != nil || !bytes.Equal(got, want) {
					wrong <- fmt.Sprintf("%s: %v %v %q", key, err, err2, got)
					return
				}
			}
			wrong <- ""
		}(w)
	}
	for w := 0; w < 64; w++ {
		if text := <-wrong; text != "" {
			t.Fatal(text)
		}
	}
}

// The server dies under the client and comes back at its address: the same client finds it again, and
// all that was acknowledged. (This client dials an address at most once a minute, so one that had just
// dialled would wait that long: the sessions are a minute old, or new.)
func TestServerRestarts(t *testing.T) {
	for _, how := range []string{"stop", "kill"} {
		name := t.Name() + how
		createTable(t, metaAddr, name, 4)
		before := openAt(t, metaAddr, name)
		for i := 0; i < 200; i++ {
			must(t, before.Set(soon(), b(fmt.Sprint("h", i)), b("s"), b(fmt.Sprint("v", i))))
		}
		server(t, how)
		if err := before.Set(within(500*time.Millisecond), b("h"), b("s"), b("v")); err == nil {
			t.Fatal("acknowledged by nobody")
		}
		server(t, "start")
		after := openAt(t, metaAddr, name)
		for i := 0; i < 200; i++ {
			value, err := after.Get(soon(), b(fmt.Sprint("h", i)), b("s"))
			must(t, err)
			equal(t, value, b(fmt.Sprint("v", i)))
		}
	}
}
