// States of sources: each sent once, those that flap less often.

import FreshetCore

/// A state of a source, as its subscribers receive it.
struct StatusNotice {
    var state: SourceState
    var eventStream: Frame
    var jsonLine: Frame
    var number: UInt64

    /// As subscribers of a wire format receive it.
    func frame(for wire: StreamWire) -> Frame {
        switch wire.form {
        case .eventStream, .markedEventStream: self.eventStream
        case .jsonLines: self.jsonLine
        case .messages, .deflatedMessages: Frame(messageOf: self.jsonLine, deflates: wire.form == .deflatedMessages)
        }
    }
}

extension Delivery {
    /// Tells the subscribers of a source its new state, now or when its pace allows.
    func statusChanged(of source: SourceID, to state: SourceState, _ eventStream: Frame, _ jsonLine: Frame) {
        self.statusNumber += 1
        let notice = StatusNotice(
            state: state,
            eventStream: eventStream,
            jsonLine: jsonLine,
            number: self.statusNumber
        )
        self.noteOpenings(notice)
        let now = MonotonicTime(nanoseconds: self.clock.now)
        switch self.statusPaces[source, default: StatusPace(heartbeat: self.settings.heartbeat)]
            .stateChanged(to: state, now: now)
        {
        case .send:
            self.heldStatuses[source] = nil
            self.sendStatus(notice, of: source)
        case .hold:
            self.heldStatuses[source] = notice
        case .repeated:
            self.heldStatuses[source] = nil
            self.sendStatus(notice, of: source, onlySince: self.lastSent(of: source))
        }
    }

    /// Tells what was held for a heartbeat. Once a tick.
    func tellHeldStatuses() {
        guard !self.heldStatuses.isEmpty else { return }
        let now = MonotonicTime(nanoseconds: self.clock.now)
        let due = self.heldStatuses.filter { self.statusPaces[$0.key]?.isDue(at: now) == true }
        for (source, notice) in due.sorted(by: { $0.key < $1.key }) {
            self.statusPaces[source]?.heldSent(notice.state, now: now)
            self.heldStatuses[source] = nil
            // Those who fell behind since the change receive it as well, once they are live.
            self.statusNumber += 1
            self.sendStatus(notice, of: source, as: self.statusNumber)
        }
    }

    /// The number of the last state of a source that its subscribers were sent.
    private func lastSent(of source: SourceID) -> UInt64 {
        self.groups(of: source).compactMap { $0.statuses[source]?.number }.max() ?? 0
    }

    /// Sends a status event to the live members of the source's groups who do not know it; the others get the last one
    /// when they are. `onlySince`: only to those whose streams were opened after that notice. `number`: where the event is
    /// not as old as the change.
    private func sendStatus(
        _ notice: StatusNotice,
        of source: SourceID,
        onlySince mark: UInt64 = 0,
        as number: UInt64? = nil
    ) {
        for group in self.groups(of: source) {
            let frame = notice.frame(for: group.wire)
            group.statuses[source] = SubscriberGroup.NumberedStatus(number: number ?? notice.number, frame: frame)
            let members = group.live.filter { index in
                let opening = UInt64(self.table.record(index).openingStatus)
                return opening < notice.number && opening >= mark
            }
            self.sendToLive(members, frame, in: group)
        }
    }

    /// Streams that were opened since the inbox was last taken may have begun with the state of a notice that was in it.
    private func noteOpenings(_ notice: StatusNotice) {
        for (index, told) in self.sentAtOpening {
            guard let wire = self.group(of: index)?.wire else { continue }
            let bytes = notice.frame(for: wire).bytes
            guard told.contains(where: { $0.bytes == bytes }) else { continue }
            self.table.updateRecord(index) { $0.openingStatus = UInt32(clamping: notice.number) }
        }
    }
}
