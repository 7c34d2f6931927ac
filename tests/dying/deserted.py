"""deserted.py - servers that die, and what has to hold for the clients that they leave"""
import signal

from dying_lib import ENDED, REFUSED, check, need_hugepages, program


class Deserted:
    """Servers that die, one after the other under the same name, and the clients that they leave."""
    PAGES = 32
    OPTIONS = ["--bufs", "32768", "--hugepages", "2M", "--port", "p0=null:rate=2000,flows=16",
               "--port", "p1=pcap:none"]
    OUTCOMES = {0: "lived to their end", ENDED: "were told that the session ended",
                REFUSED: "could not attach"}

    def __init__(self, stage):
        self.stage = stage
        stage.options = self.OPTIONS
        self.mourners, self.free_pages = [], need_hugepages(2 * self.PAGES)

    def begin(self):
        """The next server: nothing of the last one stands in its way."""
        self.stage.start_server()
        self.begin_clients()

    def begin_clients(self):
        roles = [("p1", "asleep"), ("p0", "monitor")]
        self.mourners = [self.stage.start(program("mourner"), self.stage.name, port, role, log=role)
                         for port, role in roles]
        for mourner in self.mourners:
            self.stage.wait_for(mourner, "ready")

    def end(self, what):
        """The server was killed: everybody learns of it, and nothing of it stays."""
        check(self.stage.wait(self.stage.server) == -signal.SIGKILL, f"{what}: the server lives")
        self.mourn(what)
        check(not self.stage.mappers_of_pool(), f"{what}: the pool is still mapped")

    def mourn(self, what):
        for mourner in self.mourners:
            status = self.stage.wait(mourner)
            check(status == ENDED, f"{what}: {mourner.args}: {status}: {self.stage.said(mourner)}")

    def end_in_order(self):
        self.stage.stop_server()
        self.mourn("the server stopped")
        check(not self.stage.mappers_of_pool(), "the pool is still mapped")

    def tell(self, results):
        return ", ".join(f"{number} clients {self.OUTCOMES[status]}"
                         for status, number in sorted(results.items()))

    def tell_hugepages(self):
        """None stayed: together they had more than there were, and each got its own or had not started."""
        return (f"{self.stage.starts} servers had {self.PAGES} hugepages each, "
                f"of {self.free_pages} that were free")
