// One poll for several sources that ask the same.

import FreshetCore
import FreshetUpstream

extension PollLane {
    /// How long a source without a value waits for another's poll at most.
    private static let longestFirstRide = Duration.seconds(1)

    /// The group of a source, which is to join it.
    func group(of configuration: SourceConfiguration) -> PollGroup {
        let identity = PollIdentity(configuration)
        // A source that only takes pushes has no upstream to ask.
        guard configuration.isPolled else { return PollGroup(identity: identity) }
        if let group = self.groups[identity] { return group }
        let group = PollGroup(identity: identity)
        self.groups[identity] = group
        return group
    }

    func leaveGroup(_ source: PolledSource) {
        source.group.leave(source)
        if source.group.members.isEmpty { self.groups[source.group.identity] = nil }
        self.releaseRiders(of: source.group, now: .now)
    }

    /// Lets a source that is due wait for the poll of another, or take part in one that is under way.
    ///
    /// - Returns: Whether it does.
    func rides(_ source: PolledSource, now: MonotonicTime) -> Bool {
        guard source.group.members.count > 1, !source.isUrgent, !source.asksAlone, source.reading == nil,
            let first = source.group.members.first(where: \.takesRiders), first !== source
        else { return false }
        let leader = first.leader ?? first
        if leader.isPolling {
            self.follow(source, leader, now: now)
            return true
        }
        let longest = source.machine.hasValue ? source.machine.configuration.nominalInterval : Self.longestFirstRide
        guard leader.due - now <= longest else { return false }
        self.leaveLine(source)
        source.activity = .riding
        return true
    }

    private func follow(_ source: PolledSource, _ leader: PolledSource, now: MonotonicTime) {
        self.queue.remove(source.id)
        self.leaveLine(source)
        source.request = leader.request
        source.hasOtherValidators = source.machine.nextRequest != leader.request
        source.machine.pollShared(leader.request, now: now, wall: .now)
        source.activity = .polling(since: now, isCounted: false, isProbe: false)
        source.isUrgent = false
        source.leader = leader
        leader.followers.append(source)
    }

    /// A poll begins: whoever waits for it, or is due and asks the same, is taken along.
    func takeAlong(with leader: PolledSource, now: MonotonicTime) {
        guard leader.group.members.count > 1 else { return }
        for member in leader.group.members where member !== leader {
            let isDue: Bool
            switch member.activity {
            case .riding, .inLine: isDue = true
            case .scheduled:
                let isWaiting = member.reading == nil && member.machine.nextPoll != .distantFuture
                isDue = isWaiting && (member.due <= now || !member.machine.hasValue)
            case .dormant, .awaitingToken, .polling, .readingBody: isDue = false
            }
            guard isDue, !member.isHeldByWrites(at: now) else { continue }
            if !member.asksAlone, !self.sleepsWithoutListeners(member) {
                self.follow(member, leader, now: now)
            } else if member.activity == .riding {
                self.release(member, now: now)
            }
        }
    }

    /// Ends the part that a source took in another's poll.
    ///
    /// - Returns: Whether the answer is one for it. A confirmation of another value is not; then the source asks alone.
    func leaves(_ source: PolledSource, _ end: PollEnd, now: MonotonicTime) -> Bool {
        source.leader = nil
        guard source.hasOtherValidators, case .answer(.success(let response)) = end,
            response.status == 304 || response.status == 412
        else { return true }
        source.asksAlone = true
        source.machine.pollRequested(now: now)
        self.release(source, now: now)
        return false
    }

    /// Whom those wait for who ride may not poll soon: they see for themselves.
    func releaseRiders(of group: PollGroup, now: MonotonicTime) {
        guard group.hasRiders else { return }
        for member in group.members where member.activity == .riding { self.release(member, now: now) }
    }

    /// The poll of a source is given up, which others take part in.
    func releaseFollowers(of source: PolledSource, now: MonotonicTime) {
        let followers = source.followers
        source.followers = []
        for follower in followers {
            follower.leader = nil
            follower.machine.pollRequested(now: now)
            self.release(follower, now: now)
        }
    }

    private func release(_ source: PolledSource, now: MonotonicTime) {
        source.activity = .scheduled
        source.due = now
        self.queue.set(source.id, due: now)
    }
}
