// admin_test.go: the calls that admin-cli makes, by the library it is made of and with the values it
// sends; and what each must find in the answer.
package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	adminapi "github.com/apache/incubator-pegasus/go-client/admin"
	"github.com/apache/incubator-pegasus/go-client/idl/admin"
	"github.com/apache/incubator-pegasus/go-client/idl/base"
	"github.com/apache/incubator-pegasus/go-client/idl/radmin"
	"github.com/apache/incubator-pegasus/go-client/pegasus"
	"github.com/apache/incubator-pegasus/go-client/session"
)

func apps(t *testing.T, status admin.AppStatus) map[string]*admin.AppInfo {
	t.Helper()
	resp, err := metas(metaAddr).ListApps(soon(), &admin.ListAppsRequest{Status: status})
	must(t, err)
	found := map[string]*admin.AppInfo{}
	for _, info := range resp.Infos {
		found[info.AppName] = info
	}
	return found
}

// ---- Tables -----------------------------------------------------------------------------------

func TestCreateListShow(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 8)
	info := apps(t, admin.AppStatus_AS_AVAILABLE)[t.Name()]
	if info == nil || info.AppID != id || info.PartitionCount != 8 || !info.IsStateful ||
		info.AppType != "pegasus" || info.CreateSecond == 0 || info.DropSecond != 0 {
		t.Fatalf("%+v", info)
	}
	resp, err := metas(metaAddr).QueryConfig(soon(), t.Name())
	must(t, err)
	equal(t, resp.Err.Errno, "ERR_OK")
	equal(t, resp.IsStateful, true)
	equal(t, resp.AppID, id)
	equal(t, len(resp.Partitions), 8)
	for i, p := range resp.Partitions {
		if p.Pid.PartitionIndex != int32(i) || p.Ballot < 1 || p.Primary.GetAddress() != metaAddr ||
			p.Secondaries == nil || p.LastDrops == nil {
			t.Fatalf("partition %d: %+v", i, p)
		}
	}
}

// The library's own CreateTable waits for three replicas, on one node for ever: the table is there.
func TestCreateByClient(t *testing.T) {
	client := adminapi.NewClient(adminapi.Config{MetaServers: []string{metaAddr}})
	_ = client.CreateTable(within(1500*time.Millisecond), t.Name(), 4)
	tables, err := client.ListTables(soon())
	must(t, err)
	isThere := false
	for _, table := range tables {
		isThere = isThere || table.Name == t.Name()
	}
	equal(t, isThere, true)
	must(t, client.DropTable(soon(), t.Name()))
	must(t, client.DropTable(soon(), t.Name())) // It says: fine if absent.
}

func TestCreateRefused(t *testing.T) {
	createTable(t, metaAddr, t.Name(), 4)
	for _, c := range []struct {
		name       string
		partitions int32
		want       string
	}{
		{t.Name(), 4, "ERR_APP_EXIST"},
		{"none", 0, "ERR_INVALID_PARAMETERS"},
		{"three", 3, "ERR_INVALID_PARAMETERS"},
		{"a b", 4, "ERR_INVALID_PARAMETERS"},
		{"", 4, "ERR_INVALID_PARAMETERS"},
	} {
		_, err := metas(metaAddr).CreateApp(soon(), &admin.CreateAppRequest{AppName: c.name,
			Options: &admin.CreateAppOptions{PartitionCount: c.partitions, ReplicaCount: 3, AppType: "pegasus",
				IsStateful: true, Envs: map[string]string{}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Fatalf("%+v: %v", c, err)
		}
	}
}

func TestDropRecall(t *testing.T) {
	table := newTable(t)
	must(t, table.Set(soon(), b("h"), b("s"), b("v")))
	id := apps(t, admin.AppStatus_AS_AVAILABLE)[t.Name()].AppID
	reserve := int64(604800)
	_, err := metas(metaAddr).DropApp(soon(), &admin.DropAppRequest{AppName: t.Name(),
		Options: &admin.DropAppOptions{SuccessIfNotExist: true, ReserveSeconds: &reserve}})
	must(t, err)
	if apps(t, admin.AppStatus_AS_AVAILABLE)[t.Name()] != nil {
		t.Fatal("still listed")
	}
	dropped := apps(t, admin.AppStatus_AS_DROPPED)[t.Name()]
	if dropped == nil || dropped.AppID != id || dropped.ExpireSecond-dropped.DropSecond != reserve {
		t.Fatalf("%+v", dropped)
	}
	client := pegasus.NewClient(pegasus.Config{MetaServers: []string{metaAddr}})
	defer client.Close()
	if _, err = client.OpenTable(within(time.Second), t.Name()); err == nil {
		t.Fatal("opened a dropped table")
	}

	resp, err := metas(metaAddr).RecallApp(soon(), &admin.RecallAppRequest{AppID: id, NewAppName_: "again"})
	must(t, err)
	equal(t, resp.Info.AppName, "again")
	value, err := openAt(t, metaAddr, "again").Get(soon(), b("h"), b("s"))
	must(t, err)
	equal(t, value, b("v"))
}

func TestOpenNoTable(t *testing.T) {
	client := pegasus.NewClient(pegasus.Config{MetaServers: []string{metaAddr}})
	defer client.Close()
	_, err := client.OpenTable(soon(), "no such table")
	if err == nil || !strings.Contains(err.Error(), "ERR_OBJECT_NOT_FOUND") {
		t.Fatal(err)
	}
}

// ---- The cluster ------------------------------------------------------------------------------

func TestNodesAndCluster(t *testing.T) {
	nodes, err := metas(metaAddr).ListNodes(soon(), &admin.ListNodesRequest{Status: admin.NodeStatus_NS_INVALID})
	must(t, err)
	equal(t, len(nodes.Infos), 1)
	equal(t, nodes.Infos[0].Address.GetAddress(), metaAddr)
	if nodes.Infos[0].Status != admin.NodeStatus_NS_ALIVE {
		t.Fatal(nodes.Infos[0].Status)
	}
	info, err := metas(metaAddr).QueryClusterInfo(soon(), &admin.ClusterInfoRequest{})
	must(t, err)
	found := map[string]string{}
	for i, key := range info.Keys {
		found[key] = info.Values[i]
	}
	equal(t, found["cluster_name"], "first")
	if !strings.Contains(found["primary_meta_server"], metaAddr) {
		t.Fatalf("%v", found)
	}
}

func TestMetaLevel(t *testing.T) {
	control := func(level admin.MetaFunctionLevel) admin.MetaFunctionLevel {
		resp, err := metas(metaAddr).MetaControl(soon(), &admin.MetaControlRequest{Level: level})
		must(t, err)
		return resp.OldLevel
	}
	before := control(admin.MetaFunctionLevel_fl_invalid) // Asks only.
	equal(t, control(admin.MetaFunctionLevel_fl_freezed), before)
	_, err := metas(metaAddr).CreateApp(soon(), &admin.CreateAppRequest{AppName: t.Name(),
		Options: &admin.CreateAppOptions{PartitionCount: 4, ReplicaCount: 3, AppType: "pegasus", IsStateful: true}})
	if err == nil || !strings.Contains(err.Error(), "ERR_STATE_FREEZED") {
		t.Fatal(err)
	}
	equal(t, control(before), admin.MetaFunctionLevel_fl_freezed)
}

// ---- Environments -----------------------------------------------------------------------------

func updateEnv(t *testing.T, req *admin.UpdateAppEnvRequest) (string, string) {
	t.Helper()
	resp, err := metas(metaAddr).UpdateAppEnv(soon(), req)
	if resp == nil {
		t.Fatal(err)
	}
	return resp.Err.Errno, resp.HintMessage
}

func TestEnvs(t *testing.T) {
	createTable(t, metaAddr, t.Name(), 4)
	envs := func() string {
		text, _ := json.Marshal(apps(t, admin.AppStatus_AS_AVAILABLE)[t.Name()].Envs)
		return string(text)
	}
	setEnv(t, t.Name(), "default_ttl", "100")
	setEnv(t, t.Name(), "replica.slow_query_threshold", "100")
	equal(t, envs(), `{"default_ttl":"100","replica.slow_query_threshold":"100"}`)
	for key, value := range map[string]string{"no.such.key": "1", "default_ttl": "x"} {
		err, hint := updateEnv(t, &admin.UpdateAppEnvRequest{AppName: t.Name(),
			Op: admin.AppEnvOperation_APP_ENV_OP_SET, Keys: []string{key}, Values: []string{value}})
		if err != "ERR_INVALID_PARAMETERS" || hint == "" {
			t.Fatalf("%s=%s: %s %q", key, value, err, hint)
		}
	}
	updateEnv(t, &admin.UpdateAppEnvRequest{AppName: t.Name(),
		Op: admin.AppEnvOperation_APP_ENV_OP_DEL, Keys: []string{"default_ttl"}})
	equal(t, envs(), `{"replica.slow_query_threshold":"100"}`)
	all := ""
	updateEnv(t, &admin.UpdateAppEnvRequest{AppName: t.Name(),
		Op: admin.AppEnvOperation_APP_ENV_OP_CLEAR, ClearPrefix: &all})
	equal(t, envs(), `{}`)
}

func TestDefaultTTL(t *testing.T) {
	table := newTable(t)
	setEnv(t, t.Name(), "default_ttl", "100")
	eventually(t, "a record without ttl gets one", func() bool {
		must(t, table.Set(soon(), b("h"), b("s"), b("v")))
		ttl, err := table.TTL(soon(), b("h"), b("s"))
		must(t, err)
		return ttl > 80 && ttl <= 100
	})
}

// A table closed to its clients refuses at once, by a name after which clients ask the metas again;
// or, if that is wished, by silence. Opened, it serves the same session.
func TestDenyClientRequest(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	rs, here := replicaSession(), &base.Gpid{Appid: id, PartitionIndex: 0}
	read := func(patience context.Context) error {
		_, err := rs.Get(patience, here, 0, rawKey("h", "s"))
		return err
	}
	write := func(patience context.Context) error {
		_, err := rs.Del(patience, here, 0, rawKey("h", "s"))
		return err
	}
	const env = "replica.deny_client_request"
	must(t, write(soon()))
	setEnv(t, t.Name(), env, "reconfig*write")
	eventually(t, "writes are refused", func() bool { return write(soon()) == base.ERR_INVALID_STATE })
	must(t, read(soon()))
	setEnv(t, t.Name(), env, "timeout*all")
	eventually(t, "reads hear nothing", func() bool { return read(within(time.Second)) == context.DeadlineExceeded })
	updateEnv(t, &admin.UpdateAppEnvRequest{AppName: t.Name(),
		Op: admin.AppEnvOperation_APP_ENV_OP_DEL, Keys: []string{env}})
	eventually(t, "it is served again", func() bool { return write(within(time.Second)) == nil })
	must(t, read(soon()))
}

// ---- Duplications -----------------------------------------------------------------------------

// As servers have numbered them since 2.4. The names that this release of the client has are older.
const (
	dupLog     admin.DuplicationStatus = 3
	dupPause   admin.DuplicationStatus = 4
	dupRemoved admin.DuplicationStatus = 5
)

func TestDuplication(t *testing.T) {
	table := newTable(t)
	createTable(t, remoteAddr, t.Name(), 8) // Twice the partitions: that may differ.
	remote := openAt(t, remoteAddr, t.Name())

	added, err := metas(metaAddr).AddDuplication(soon(), &admin.DuplicationAddRequest{
		AppName: t.Name(), RemoteClusterName: remoteAddr})
	must(t, err)
	entry := func() *admin.DuplicationEntry {
		resp, err := metas(metaAddr).QueryDuplication(soon(), &admin.DuplicationQueryRequest{AppName: t.Name()})
		must(t, err)
		if len(resp.EntryList) != 1 {
			t.Fatalf("%+v", resp.EntryList)
		}
		return resp.EntryList[0]
	}
	equal(t, entry().Dupid, added.Dupid)
	if !*apps(t, admin.AppStatus_AS_AVAILABLE)[t.Name()].Duplicating {
		t.Fatal("not said to duplicate")
	}
	arrives := func(i int) bool {
		value, err := remote.Get(soon(), b(fmt.Sprint("h", i)), b("s"))
		must(t, err)
		return string(value) == fmt.Sprint("v", i)
	}
	for i := 0; i < 40; i++ {
		must(t, table.Set(soon(), b(fmt.Sprint("h", i)), b("s"), b(fmt.Sprint("v", i))))
	}
	for i := 0; i < 40; i++ {
		eventually(t, "it arrives", func() bool { return arrives(i) })
	}
	n, err := table.Incr(soon(), b("counter"), b("s"), 3) // Atomic writes are duplicated, too.
	must(t, err)
	equal(t, n, int64(3))

	modify := func(status admin.DuplicationStatus) {
		_, err := metas(metaAddr).ModifyDuplication(soon(), &admin.DuplicationModifyRequest{
			AppName: t.Name(), Dupid: added.Dupid, Status: &status})
		must(t, err)
	}
	modify(dupPause)
	equal(t, entry().Status, dupPause)
	last := 99
	eventually(t, "it is paused", func() bool { // The worker hears of it after the answer.
		last++
		must(t, table.Set(soon(), b(fmt.Sprint("h", last)), b("s"), b(fmt.Sprint("v", last))))
		time.Sleep(300 * time.Millisecond)
		return !arrives(last)
	})
	modify(dupLog)
	eventually(t, "it arrives", func() bool { return arrives(last) })
	modify(dupRemoved)
	resp, err := metas(metaAddr).QueryDuplication(soon(), &admin.DuplicationQueryRequest{AppName: t.Name()})
	must(t, err)
	equal(t, len(resp.EntryList), 0)
}

func TestDuplicationRefused(t *testing.T) {
	createTable(t, metaAddr, t.Name(), 4)
	for _, remote := range []string{"no such cluster", ""} {
		resp, err := metas(metaAddr).AddDuplication(soon(), &admin.DuplicationAddRequest{
			AppName: t.Name(), RemoteClusterName: remote})
		if err == nil {
			t.Fatalf("%q: %+v", remote, resp)
		}
	}
	_, err := metas(metaAddr).AddDuplication(soon(), &admin.DuplicationAddRequest{
		AppName: "no such table", RemoteClusterName: remoteAddr})
	if err == nil || !strings.Contains(err.Error(), "ERR_APP_NOT_EXIST") {
		t.Fatal(err)
	}
}

// ---- One server -------------------------------------------------------------------------------

func TestDiskInfo(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	replica := session.NewReplicaManager(session.NewNodeSession).GetReplica(metaAddr)
	for _, name := range []string{"", t.Name()} {
		eventually(t, "all partitions are held", func() bool {
			resp, err := replica.QueryDiskInfo(soon(), &radmin.QueryDiskInfoRequest{
				Node: &base.RPCAddress{}, AppName: name})
			must(t, err)
			if resp.TotalCapacityMb <= 0 || len(resp.DiskInfos) != 1 || resp.DiskInfos[0].DiskCapacityMb <= 0 ||
				resp.DiskInfos[0].Tag == "" || resp.DiskInfos[0].FullDir == "" {
				t.Fatalf("%+v", resp)
			}
			held := resp.DiskInfos[0].HoldingPrimaryReplicas
			if name != "" && len(held) > 1 {
				t.Fatalf("others as well: %+v", held)
			}
			return len(held[id]) == 4
		})
	}
	_, err := replica.QueryDiskInfo(soon(), &radmin.QueryDiskInfoRequest{Node: &base.RPCAddress{}, AppName: "no"})
	if err == nil || !strings.Contains(err.Error(), "ERR_OBJECT_NOT_FOUND") {
		t.Fatal(err)
	}
}

func TestQueryAppInfo(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	resp, err := metas(metaAddr).QueryAppInfo(within(2*time.Second), &admin.QueryAppInfoRequest{MetaServer: &base.RPCAddress{}})
	must(t, err)
	for _, app := range resp.Apps {
		if app.AppID == id && app.AppName == t.Name() && app.PartitionCount == 4 {
			return
		}
	}
	t.Fatalf("%+v", resp.Apps)
}

func command(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	client := adminapi.NewRemoteCmdClient(metaAddr, session.NodeTypeReplica)
	answer, err := client.Call(soon(), name, arguments)
	must(t, err)
	return answer
}

func TestServerInfo(t *testing.T) {
	var info map[string]string
	must(t, json.Unmarshal([]byte(command(t, "server-info")), &info))
	for _, key := range []string{"version", "build_type", "git_SHA", "start_time"} {
		if info[key] == "" {
			t.Fatalf("%s is absent: %v", key, info)
		}
	}
}

func TestRemoteCommands(t *testing.T) {
	equal(t, command(t, "no-such-command"), "unknown command 'no-such-command'")
	help := command(t, "help")
	for _, name := range []string{"help", "server-info", "perf-counters", "replica.query-progress"} {
		if !strings.Contains(help, name) {
			t.Fatalf("%s is not in %q", name, help)
		}
	}
}

// What admin-cli's table-stat, node-stat and disk-capacity look for.
func TestPerfCounters(t *testing.T) {
	id := createTable(t, metaAddr, t.Name(), 4)
	table := openAt(t, metaAddr, t.Name())
	must(t, table.Set(soon(), b("h"), b("s"), b("v")))
	counters := func(command_, part string) map[string]float64 {
		var answer struct {
			Result   string
			Counters []struct {
				Name  string
				Value float64
			}
		}
		must(t, json.Unmarshal([]byte(command(t, command_, part)), &answer))
		equal(t, answer.Result, "OK")
		found := map[string]float64{}
		for _, c := range answer.Counters {
			found[c.Name] = c.Value
		}
		return found
	}
	names := []string{"get_qps", "put_qps", "disk.storage.sst(MB)", "rdb.estimate_num_keys"}
	found := counters("perf-counters-by-substr", "@")
	for _, name := range names {
		if _, isThere := found[fmt.Sprintf("replica*app.pegasus*%s@%d.0", name, id)]; !isThere {
			t.Fatalf("no %s among %d", name, len(found))
		}
	}
	found = counters("perf-counters-by-prefix", "replica*eon.replica_stub*disk.capacity.total(MB)")
	equal(t, len(found), 1)
	found = counters("perf-counters-by-substr", "pending_mutations_count")
	equal(t, len(found), 1) // table-migrator wants one, exactly.
}
