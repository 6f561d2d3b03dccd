// How a stream begins, and what a subscriber that is behind gets next.

extension Hub {
    /// Adds a listener that is notified of every change from now on.
    package func attach(_ listener: any HubListener) {
        self.state.withLock { $0.listeners.append(listener) }
    }

    package func detach(_ listener: any HubListener) {
        self.state.withLock { $0.listeners.removeAll { $0 === listener } }
    }

    /// Counts a subscriber in, or several. Each needs to be counted out by ``unsubscribe(_:count:)``.
    ///
    /// The sources are in ascending order, each once.
    package func subscribe(
        to sources: [SourceID],
        format: StreamFormat,
        view: View = .whole,
        count: Int = 1
    ) -> Subscription {
        self.state.withLock { state in
            let key = Subscription.Key(sources: sources, format: format, view: view)
            let id = state.views.join(view, count)
            let subscription = state.subscriptions[key] ?? Subscription(key: key, viewID: id)
            subscription.join(count)
            state.subscriptions[key] = subscription
            for source in sources {
                state.update(source) { $0.join(subscription, count) }
            }
            return subscription
        }
    }

    /// Counts subscribers out; the last one takes the subscription with it.
    package func unsubscribe(_ subscription: Subscription, count: Int = 1) {
        self.state.withLock { state in
            for source in subscription.sources {
                state.update(source) { $0.leave(subscription, count) }
            }
            state.views.leave(subscription.view, count)
            if subscription.leave(count) { state.subscriptions[subscription.key] = nil }
        }
    }

    /// How a stream of this subscription begins.
    ///
    /// Called on the thread that also takes the notices, after ``attach(_:)``: what is published after this moment
    /// reaches the stream as a notice, and the cursor rule removes what is in both.
    package func open(_ subscription: Subscription, at position: StreamPosition) -> StreamOpening {
        let planned = self.state.withLock { $0.plan(subscription, at: position) }
        return planned.opening(wire: subscription.format.wire, view: subscription.view)
    }

    /// The next part of the log for a subscriber that is behind.
    ///
    /// At most `limit` events, and about `maxBytes` of them but for a single one that is larger. With `maySkip` the
    /// subscriber did not keep up, so that a snapshot may take the place of a backlog that is larger; a subscriber that
    /// resumes gets every event. For a view nothing is worked out here: the answer is `.stored` where the log has more.
    package func read(
        _ subscription: Subscription,
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int = .max,
        maySkip: Bool
    ) -> StreamFeed {
        guard subscription.view.isWhole else {
            return self.state.withLock { state in
                state.isComplete(after: sequence, subscription)
                    ? .frames([], through: max(sequence, state.log.head), isComplete: true) : .stored
            }
        }
        let planned = self.state.withLock {
            $0.planRead(subscription, after: sequence, limit: limit, maySkip: maySkip)
        }
        return planned.feed(in: subscription.format, maxBytes: maxBytes)
    }
}
