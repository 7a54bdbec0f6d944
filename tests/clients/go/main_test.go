// main_test.go: what the suites share: addresses, a table of one's own, the server's switch, and short
// words for the client's long ones. The client under these tests is Pegasus's, as released; run.sh
// says what it is told.
package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/apache/incubator-pegasus/go-client/idl/admin"
	"github.com/apache/incubator-pegasus/go-client/idl/base"
	"github.com/apache/incubator-pegasus/go-client/pegasus"
	"github.com/apache/incubator-pegasus/go-client/session"
)

var (
	metaAddr   = os.Getenv("PEGASUS_META")
	remoteAddr = os.Getenv("REMOTE_META")
)

func TestMain(m *testing.M) {
	if metaAddr == "" || remoteAddr == "" {
		fmt.Println("start me by tests/clients/run.sh go PIRENED")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// Long enough for any answer on a busy machine; an answer that never comes fails the test.
func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	_ = cancel // It ends by itself, with the process at the latest.
	return ctx
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	_ = cancel
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want interface{}) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Fatalf("got %s, not %s", g, w)
	}
}

func b(text string) []byte { return []byte(text) }

// ---- Metas and tables -------------------------------------------------------------------------

func metas(addr string) *session.MetaManager {
	return session.NewMetaManager([]string{addr}, session.NewNodeSession)
}

// As admin-cli asks: three replicas, whatever the cluster has.
func createTable(t *testing.T, addr, name string, partitions int32) int32 {
	t.Helper()
	resp, err := metas(addr).CreateApp(soon(), &admin.CreateAppRequest{
		AppName: name,
		Options: &admin.CreateAppOptions{PartitionCount: partitions, ReplicaCount: 3, AppType: "pegasus",
			IsStateful: true, Envs: map[string]string{}},
	})
	must(t, err)
	return resp.Appid
}

func openAt(t *testing.T, addr, name string) pegasus.TableConnector {
	t.Helper()
	client := pegasus.NewClient(pegasus.Config{MetaServers: []string{addr}})
	t.Cleanup(func() { _ = client.Close() })
	table, err := client.OpenTable(soon(), name)
	must(t, err)
	return table
}

// A table of the test's own, with four partitions.
func newTable(t *testing.T) pegasus.TableConnector {
	t.Helper()
	createTable(t, metaAddr, t.Name(), 4)
	return openAt(t, metaAddr, t.Name())
}

func setEnv(t *testing.T, table, key, value string) {
	t.Helper()
	resp, err := metas(metaAddr).UpdateAppEnv(soon(), &admin.UpdateAppEnvRequest{AppName: table,
		Op: admin.AppEnvOperation_APP_ENV_OP_SET, Keys: []string{key}, Values: []string{value}})
	must(t, err)
	equal(t, resp.Err.Errno, base.ERR_OK.String())
}

// ---- The server's switch ----------------------------------------------------------------------

func server(t *testing.T, command string) {
	t.Helper()
	out, err := exec.Command(os.Getenv("SERVER"), command).CombinedOutput()
	if err != nil {
		t.Fatalf("server %s: %v: %s", command, err, out)
	}
}

// Ask again until it is so: for what follows a change by itself.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if isSo() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
