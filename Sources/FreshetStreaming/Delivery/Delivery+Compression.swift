// Events compressed once for all who read the same (CONTRACT §9).
//
// What a reader's decoder refers back to is the reader's own stream. So the pieces of a group's run go to those members who
// were sent all of it since it last began anew, and nothing in between: they are in step. To everybody else, and whatever is
// meant for one alone, goes in pieces that stand for themselves.

import Compression
import FreshetCore

/// A frame as a piece of its own.
struct CodedFrame {
    /// Keeps the plain bytes, so that where they lie tells them apart.
    var plain: Frame
    var coded: Frame
}

// MARK: - Pieces that stand for themselves

extension Delivery {
    /// What a stream of the group begins with, behind the head of the answer.
    func codingOpening(of group: SubscriberGroup) -> [UInt8] {
        guard let opening = group.coding?.opening else { return [] }
        let frame = Frame(payload: opening)
        return Array(frame.bytes[frame.range(in: group.framing)])
    }

    /// What it ends with, in front of what ends the answer.
    func codingEnding(of group: SubscriberGroup) -> [UInt8] {
        guard let ending = group.coding?.ending, !ending.isEmpty else { return [] }
        let frame = Frame(payload: ending)
        return Array(frame.bytes[frame.range(in: group.framing)])
    }

    /// A frame as the members of a group are sent it, if it is meant for some of them.
    func coded(_ frame: Frame, for group: SubscriberGroup) -> Frame {
        guard let coding = group.coding else { return frame }
        let plain = frame.bytes[frame.payload]
        guard plain.count >= IndependentCoder.minBytes else { return Frame(payload: coding.stored(Array(plain))) }
        // A snapshot, or what the log gave, is the same for all who come in this turn.
        let place = frame.bytes.withUnsafeBytes(\.baseAddress)
        let known = group.codedFrames.first { known in
            known.plain.bytes.withUnsafeBytes { $0.baseAddress == place } && known.plain.payload == frame.payload
        }
        if let known { return known.coded }
        let coded = Frame(payload: self.piece(Array(plain), for: group, coding))
        if group.codedFrames.isEmpty { self.coding.append(group) }
        if group.codedFrames.count < SubscriberGroup.maxCodedFrames {
            group.codedFrames.append(CodedFrame(plain: frame, coded: coded))
        }
        return coded
    }

    /// A part of the log as the members of a group are sent it.
    func coded(_ feed: StreamFeed, for group: SubscriberGroup) -> StreamFeed {
        guard let coding = group.coding else { return feed }
        switch feed {
        case .frames(let frames, let through, let isComplete):
            let pieces = self.codedPieces(of: frames, for: group, coding)
            return .frames(pieces, through: through, isComplete: isComplete)
        case .snapshots(let frames, let through):
            return .snapshots(frames.map { self.coded($0, for: group) }, through: through)
        case .gap(let reason, let snapshots, let through):
            return .gap(reason, snapshots: snapshots.map { self.coded($0, for: group) }, through: through)
        case .stored: return feed
        }
    }

    /// Events of one source in few pieces, those of several sources each by itself. A checkpoint, which may be left out,
    /// stays alone.
    private func codedPieces(
        of frames: [SequencedFrame],
        for group: SubscriberGroup,
        _ coding: ContentCoding
    ) -> [SequencedFrame] {
        var pieces: [SequencedFrame] = []
        var rest = frames[...]
        while let first = rest.first {
            let events = rest.prefix { !$0.isCheckpoint }
            let isAlone = events.isEmpty || group.subscription.sources.count != 1
            let part = isAlone ? rest.prefix(1) : Self.part(of: events)
            rest = rest.dropFirst(part.count)
            let piece = self.piece(Self.payload(of: part), for: group, coding)
            pieces.append(
                SequencedFrame(
                    sequence: part.last?.sequence ?? first.sequence,
                    frame: Frame(payload: piece),
                    isCheckpoint: first.isCheckpoint,
                    eventCount: part.count
                )
            )
        }
        return pieces
    }

    private func piece(_ plain: [UInt8], for group: SubscriberGroup, _ coding: ContentCoding) -> [UInt8] {
        let piece = group.isStored ? coding.stored(plain) : self.coder(coding).piece(plain)
        self.tally.plainBytes += UInt64(plain.count)
        self.tally.codedBytes += UInt64(piece.count)
        return piece
    }

    private func coder(_ coding: ContentCoding) -> IndependentCoder {
        if let coder = self.coders.first(where: { $0.coding == coding }) { return coder }
        let coder = IndependentCoder(coding)
        self.coders.append(coder)
        return coder
    }

    /// The first of some frames, as many as go into one piece; at least one.
    private static func part(of frames: ArraySlice<SequencedFrame>) -> ArraySlice<SequencedFrame> {
        frames.prefix(
            FrameRun.prefixCount(of: frames, framing: .closeDelimited, limit: SubscriberGroup.maxPieceBytes)
        )
    }

    private static func payload(of frames: ArraySlice<SequencedFrame>) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(FrameRun.size(of: frames, framing: .closeDelimited))
        for frame in frames.lazy.map(\.frame) { plain.append(contentsOf: frame.bytes[frame.payload]) }
        return plain
    }
}

// MARK: - Events as they come

extension Delivery {
    /// Sends the events of a turn to a group's live members.
    func deliver(_ group: SubscriberGroup, in coding: ContentCoding) {
        self.prepareRun(of: group, in: coding)
        var rest = group.run[...]
        while let first = rest.first, !group.live.isEmpty {
            let part = Self.part(of: self.eventsOfOneSource(rest, in: group))
            rest = rest.dropFirst(part.count)
            let plain = Self.payload(of: part)
            let sequences = first.sequence...max(first.sequence, part.last?.sequence ?? 0)
            guard let piece = self.appendToRun(plain, events: part.count, of: group) else {
                let own = self.ownPiece(plain, in: group, coding)
                self.deliver(own, of: plain, sequences, events: part.count, to: group, members: 0..<group.live.count)
                continue
            }
            self.deliver(piece, of: plain, sequences, events: part.count, to: group, members: 0..<group.inStep)
            let waiting = group.inStep..<group.live.count
            guard !waiting.isEmpty else { continue }
            self.tally.compressionWaits += UInt64(waiting.count)
            let own = self.ownPiece(plain, in: group, coding)
            self.deliver(own, of: plain, sequences, events: part.count, to: group, members: waiting)
        }
    }

    private func ownPiece(_ plain: [UInt8], in group: SubscriberGroup, _ coding: ContentCoding) -> [UInt8] {
        group.isStored ? coding.stored(plain) : self.coder(coding).piece(plain)
    }

    /// A piece of the group's run; `nil` where it has none. Where the run begins anew, all live members are in step.
    private func appendToRun(_ plain: [UInt8], events: Int, of group: SubscriberGroup) -> [UInt8]? {
        let waiting = group.live.count - group.inStep
        let piece = group.sharedRun?.append(plain, events: events, waiting: waiting, following: group.inStep)
        guard let piece else { return nil }
        if piece.isJoinPoint {
            self.tally.joinPoints += 1
            self.tally.compressionJoins += UInt64(waiting)
            group.inStep = group.live.count
        }
        return piece.bytes
    }

    private func deliver(
        _ piece: [UInt8],
        of plain: [UInt8],
        _ sequences: ClosedRange<UInt64>,
        events: Int,
        to group: SubscriberGroup,
        members: Range<Int>
    ) {
        guard !members.isEmpty else { return }
        let frame = Frame(payload: piece)
        let sent = SequencedFrame(sequence: sequences.upperBound, frame: frame, eventCount: events)
        let whole = frame.bytes.withUnsafeBytes { bytes in
            self.deliver(
                [sent],
                from: sequences.lowerBound,
                as: UnsafeRawBufferPointer(rebasing: bytes[frame.range(in: group.framing)]),
                to: group,
                members: members
            )
        }
        self.tally.plainBytes += UInt64(whole * plain.count)
        self.tally.codedBytes += UInt64(whole * piece.count)
    }

    /// The first events of a run that are of one source: what stands in one window can be told from the lengths of what comes
    /// behind it.
    private func eventsOfOneSource(
        _ rest: ArraySlice<SequencedFrame>,
        in group: SubscriberGroup
    ) -> ArraySlice<SequencedFrame> {
        guard group.subscription.sources.count != 1, group.runSources.indices.contains(rest.startIndex) else {
            return rest
        }
        let source = group.runSources[rest.startIndex]
        return rest.prefix(group.runSources[rest.startIndex...].prefix { $0 == source }.count)
    }

    /// Sends some live members the same that is no event of the log. Those in step get it as a part of the run, if they are
    /// the most of them: who is not among them falls out of step.
    func sendToLive(_ members: [Int32], _ frame: Frame, in group: SubscriberGroup) {
        let inStep = group.coding == nil ? [] : members.filter { self.isInStep($0, in: group) }
        guard !inStep.isEmpty, inStep.count * 2 >= group.inStep else {
            for index in members { self.sendToLive(index, frame, in: group) }
            return
        }
        let others = members.filter { !self.isInStep($0, in: group) }
        if inStep.count < group.inStep {
            let meant = Set(inStep)
            for index in group.live[..<group.inStep] where !meant.contains(index) {
                self.fallOutOfStep(index, in: group)
            }
        }
        if let piece = group.sharedRun?.append(between: Array(frame.bytes[frame.payload])) {
            let shared = Frame(payload: piece.bytes)
            self.tally.plainBytes += UInt64(inStep.count * frame.payload.count)
            self.tally.codedBytes += UInt64(inStep.count * piece.bytes.count)
            for index in inStep { self.sendPiece(shared, to: index, in: group) }
        }
        for index in others { self.sendToLive(index, frame, in: group) }
    }
}

// MARK: - In step

extension Delivery {
    /// Whether a live member has had all of its group's run.
    func isInStep(_ index: Int32, in group: SubscriberGroup) -> Bool {
        let position = Int(self.table.record(index).livePosition)
        return position >= 0 && position < group.inStep
    }

    /// A member lacks a part of its group's run, or had something in between: it is sent pieces of its own until the run
    /// begins anew. Never while its group is iterated.
    func fallOutOfStep(_ index: Int32, in group: SubscriberGroup) {
        guard self.isInStep(index, in: group) else { return }
        let position = Int(self.table.record(index).livePosition)
        group.inStep -= 1
        let last = group.live[group.inStep]
        group.live[position] = last
        self.table.updateRecord(last) { $0.livePosition = Int32(position) }
        group.live[group.inStep] = index
        self.table.updateRecord(index) { $0.livePosition = Int32(group.inStep) }
    }

    /// Gives a group of one source a run, if there is room for one, and takes it from one of several.
    private func prepareRun(of group: SubscriberGroup, in coding: ContentCoding) {
        guard group.subscription.sources.count == 1, !group.isStored else { return self.endRun(of: group) }
        guard group.sharedRun == nil, !group.live.isEmpty, let ticket = self.runs.take() else { return }
        group.sharedRun = SharedRun(coding)
        group.runTicket = group.sharedRun == nil ? nil : ticket
    }

    private func endRun(of group: SubscriberGroup) {
        group.sharedRun = nil
        group.runTicket = nil
        group.inStep = 0
    }
}

// MARK: - What may be compressed

extension Delivery {
    /// Holds for streams that are open, too.
    func setUncompressed(_ uncompressed: SourcePattern) {
        guard uncompressed != self.uncompressed else { return }
        self.uncompressed = uncompressed
        for case let group? in self.groups { self.applyCompression(to: group) }
    }

    /// Has a group's events go out as they are where one of its sources may not be compressed. Its coding stays, of which the
    /// head of the answer told; messages of a WebSocket say each for itself whether they are compressed.
    func applyCompression(to group: SubscriberGroup) {
        let isCompressed = group.coding != nil || group.wire.form == .deflatedMessages
        guard isCompressed else { return }
        let names = self.hub.names(of: group.subscription.sources)
        let isStored = names.contains(where: self.uncompressed.matches)
        guard group.coding == nil else {
            guard isStored != group.isStored else { return }
            group.isStored = isStored
            group.codedFrames = []
            group.sharedReads.removeAll(keepingCapacity: true)
            if isStored { self.endRun(of: group) }
            return
        }
        guard isStored else { return }
        var format = group.subscription.format
        format.wire.form = .messages
        self.resubscribe(group, to: group.subscription.sources, format: format)
    }
}

extension SubscriberGroup {
    /// The most plain bytes of several events in one piece, which goes out whole once it is begun.
    static let maxPieceBytes = 64 << 10
    /// The most frames whose pieces are kept for a turn.
    static let maxCodedFrames = 16
}
