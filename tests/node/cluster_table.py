"""cluster_table.py: a table of a cluster of several servers, as a client and an onlooker see it."""
from servers import eventually
from wire import Connection, Table, create_table


class ClusterTable(Table):
    """A table whose partitions are on several servers; asks again when a place has changed."""

    def __init__(self, meta, name, timeout=10):
        super().__init__(meta, name, timeout)
        self.meta, self.name, self.timeout, self.servers = meta, name, timeout, {}
        self.refresh()

    def refresh(self):
        for connection in self.servers.values():
            connection.close()
        self.servers = {}
        config = Connection(self.meta, self.timeout)
        answer = config.ask_meta("RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX", table=self.name, indices=[])
        config.close()
        self.places = {p["pid"][1]: p for p in answer["partitions"]}

    def close(self):
        super().close()
        for connection in self.servers.values():
            connection.close()

    def at(self, address):
        if address not in self.servers:
            self.servers[address] = Connection(address, self.timeout)
        return self.servers[address]

    def ask(self, rpc, arguments, gpid, partition_hash=0):
        return self.at(self.places[gpid[1]]["primary"]).call(rpc, arguments, gpid, partition_hash)

    def members(self, index):
        return [self.places[index]["primary"]] + self.places[index]["secondaries"]

    def digests(self, index):
        """What each member holds: (decree, counts, digests)."""
        answers = []
        for address in self.members(index):
            answer = self.at(address).call("RPC_PIRENE_DIGEST",
                                           {"pid": (self.id, index), "bucket_bits": 4, "bucket": -1, "now_s": 1},
                                           (self.id, index), index)
            answers.append((answer["decree"], answer["counts"], answer["digests"]))
        return answers

    def is_equal(self):
        return all(len(set(map(repr, self.digests(i)))) == 1 for i in range(self.count))


def open_table(meta, name, partitions, replicas):
    """A new table, as soon as it serves."""
    create_table(meta, name, partitions, replicas)
    table = ClusterTable(meta, name)
    eventually("all partitions serve", lambda: all(table.get(b"%d" % i) is None for i in range(100)))
    return table
