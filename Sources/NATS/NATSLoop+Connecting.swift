// Connecting, again and again, and noticing that a connection is lost.

import CLinux
import System

extension NATSLoop {
    /// Tries all servers on a thread of its own: the library blocks until there is a connection.
    func connect() {
        self.nextAttempt = nil
        self.isConnecting = true
        let (settings, inbox) = (self.settings, self.inbox)
        do throws(SystemError) {
            try SystemThread.detach(name: "freshet-nats-co", stackBytes: 1 << 20) {
                let result = Result { () throws(NATSFailure) in try NATSLink.connect(settings) }
                // Where the loop has ended meanwhile, the link ends here with the last reference.
                _ = inbox.post { loop in loop.attempted(result) }
            }
        } catch {
            self.attempted(.failure(NATSFailure(.disconnected, error.description)))
        }
    }

    private func attempted(_ result: Result<NATSLink, NATSFailure>) {
        self.isConnecting = false
        switch result {
        case .success(let link):
            guard self.stopping == .no else { return Self.discard(link) }
            let wake = self.inbox.wakeUp.descriptor
            guard let answers = link.subscribeToAnswers("\(self.address).*", wake: wake) else {
                Self.discard(link)
                return self.attempted(.failure(NATSFailure(.disconnected, "the connection was lost at once")))
            }
            self.attempts = 0
            self.link = link
            self.answers = answers
            self.lastReceived = self.now
            self.figures.count { $0.connections += 1 }
            for (id, subscription) in self.subscriptions {
                self.subscriptions[id]?.handle = link.subscribe(subscription.subject)
            }
            self.notify(self, .connected)
        case .failure(let failure):
            self.tryLater()
            self.figures.count { $0.failedAttempts += 1 }
            self.notify(self, .disconnected(failure))
        }
    }

    private func tryLater() {
        guard self.stopping == .no else { return }
        self.attempts = min(self.attempts + 1, 16)
        let doubled = self.settings.minPause.nanoseconds << Int64(self.attempts - 1)
        let pause = min(max(doubled, 1_000_000), max(self.settings.maxPause.nanoseconds, 1_000_000))
        self.nextAttempt = self.now &+ pause / 2 &+ Int64.random(in: 0...pause / 2, using: &self.random)
    }

    /// Asks for a sign of life where nothing came for a while. The broker sends it back to us.
    func probe(_ now: Int64) {
        let interval = self.settings.probeInterval.nanoseconds
        guard let link, !link.isClosed, now &- self.lastReceived > interval else { return }
        guard now &- self.lastReceived <= 3 * interval else {
            return self.lost(link, NATSFailure(.disconnected, "the broker is silent"))
        }
        guard now &- self.lastProbe > interval else { return }
        self.lastProbe = now
        _ = self.send([NATSOutgoing("\(self.address).0")])
    }

    func lost(_ link: NATSLink, _ why: NATSFailure? = nil) {
        let error = link.lastError
        let isDenied = error.lowercased().contains("authoriz") || error.lowercased().contains("authentic")
        let failure =
            why
            ?? NATSFailure(
                isDenied ? .denied : .disconnected,
                error.isEmpty ? "the connection to the broker was lost" : error
            )
        self.drop(link)
        self.figures.count { $0.lostConnections += 1 }
        self.tryLater()
        self.failRequests(failure)
        self.notify(self, .disconnected(failure))
    }

    private func drop(_ link: NATSLink) {
        if let answers { link.unsubscribe(answers) }
        self.answers = nil
        for (id, subscription) in self.subscriptions {
            guard let handle = subscription.handle else { continue }
            self.subscriptions[id]?.handle = nil
            link.unsubscribe(handle)
        }
        self.link = nil
        Self.discard(link)
    }

    private func failRequests(_ failure: NATSFailure) {
        let requests = self.requests
        self.requests = [:]
        for id in requests.keys.sorted() { requests[id]?.done(self, .failure(failure)) }
    }

    /// Ends a link elsewhere, since the library may wait for half a second to send what is left.
    private static func discard(_ link: NATSLink) {
        do throws(SystemError) {
            try SystemThread.detach(name: "freshet-nats-en", stackBytes: 1 << 18) { link.end() }
        } catch {
            link.end()
        }
    }

    /// Sends what is there, for a second at most, and has ``run()`` return.
    func stop() {
        guard self.stopping == .no else { return }
        self.stopping = .sending(deadline: self.now &+ 1_000_000_000)
        self.nextAttempt = nil
    }

    /// Fails what is left.
    func end() {
        if let link { self.drop(link) }
        self.failRequests(NATSFailure(.disconnected, "stopped"))
        for command in self.inbox.close() { command(self) }
        self.failRequests(NATSFailure(.disconnected, "stopped"))
        self.timers = []
        self.subscriptions = [:]
    }
}
