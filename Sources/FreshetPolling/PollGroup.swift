// Sources that ask the same, in the same name and over the same way, are asked for once.

import FreshetCore

/// The sources of one ``PollIdentity``. Confined to the poll thread.
final class PollGroup {
    let identity: PollIdentity
    /// The shortest interval first, and of equal ones the source that came first: it leads where several are due.
    private(set) var members: [PolledSource] = []
    /// The members that wait for another's poll. Thousands of sources may ask the same while none of them waits: to look
    /// through them whenever one goes would cost the square of their number.
    private var riders: Set<ObjectIdentifier> = []
    /// The pages of the last whole read, where the value comes in several.
    private(set) var pages: PageSet?
    /// Tells states of the pages apart: what a source holds may be of an earlier one.
    private(set) var version = 0
    /// Reads since one that asked without validators.
    private var conditionalReads = 0

    init(identity: PollIdentity) {
        self.identity = identity
    }

    func join(_ source: PolledSource) {
        var (low, high) = (0, self.members.count)
        while low < high {
            let middle = low + (high - low) / 2
            if source.leads(self.members[middle]) { high = middle } else { low = middle + 1 }
        }
        self.members.insert(source, at: low)
        self.noteRide(of: source)
    }

    func leave(_ source: PolledSource) {
        self.members.removeAll { $0 === source }
        self.riders.remove(ObjectIdentifier(source))
    }

    /// A member waits for another's poll from here on, or does so no longer.
    func noteRide(of source: PolledSource) {
        if source.activity == .riding {
            self.riders.insert(ObjectIdentifier(source))
        } else {
            self.riders.remove(ObjectIdentifier(source))
        }
    }

    /// Whether a member waits for another's poll.
    var hasRiders: Bool { !self.riders.isEmpty }

    /// A read has found all pages.
    func took(_ pages: PageSet, isChanged: Bool) {
        self.pages = pages
        if isChanged { self.version += 1 }
    }

    /// The pages may not be this upstream's: the next read asks without validators.
    func doubt() {
        self.pages = nil
    }

    /// Whether the next read has validators; every so many have none, as `verify_every` says.
    func mayBeConditional(verifyEvery: Int?) -> Bool {
        guard let every = verifyEvery, self.conditionalReads >= every - 1 else {
            self.conditionalReads += 1
            return true
        }
        self.conditionalReads = 0
        return false
    }
}

/// How a poll has ended, for every source that it was made for.
enum PollEnd {
    case answer(Result<ExchangeResponse, UpstreamError>)
    /// All pages are there; `last` is the answer that came last. `joined`: all of them as one answer, once it was made.
    case pages(PageSet, last: ExchangeResponse, wireBytes: Int, joined: ExchangeResponse?)

    /// Of the body or the pages; 0 where there is no answer.
    var bodyBytes: Int {
        switch self {
        case .answer(.success(let response)): response.body.count
        case .answer(.failure): 0
        case .pages(let pages, _, _, _): pages.bytes
        }
    }

    /// What it is to a source. `isConfirmation`: the source holds these very pages.
    func result(isConfirmation: Bool) -> Result<ExchangeResponse, UpstreamError> {
        switch self {
        case .answer(let result): result
        case .pages(_, _, _, .some(let joined)) where !isConfirmation: .success(joined)
        case .pages(let pages, let last, let wireBytes, _):
            .success(ExchangeResponse(last, pages: pages, isConfirmation: isConfirmation, wireBytes: wireBytes))
        }
    }

    /// The same, with the pages joined once and for all.
    var joined: PollEnd {
        guard case .pages(let pages, let last, let wireBytes, nil) = self else { return self }
        let joined = ExchangeResponse(last, pages: pages, isConfirmation: false, wireBytes: wireBytes)
        return .pages(pages, last: last, wireBytes: wireBytes, joined: joined)
    }
}
