// The way of a write from a request or a socket to the one who carries it out (CONTRACT §6, §11).

import FreshetCore
import NIOCore
import System

extension Gateway {
    /// Carries a write out.
    ///
    /// An instance of a source with parameters is there while it is read, and for as long as it is written.
    ///
    /// - Throws: where an instance cannot be made, and 404 or 401 where nothing here carries writes out.
    func write(
        _ request: WriteRequest,
        for principal: Principal,
        from client: PeerAddress,
        on eventLoop: any EventLoop
    ) async throws(Problem) -> WriteAnswer {
        guard let writer = self.writer else {
            _ = try SourceSelection.one(named: request.source, in: self.hub, for: principal, \.write)
            return WriteAnswer(.notAllowed([]))
        }
        guard InstanceName.isInstance(request.source) else { return await writer.perform(request, for: principal) }
        var request = request
        request.source = SourceSelection.name(request.source.utf8)
        let (_, instances) = try SourceSelection.openOne(
            request.source.utf8,
            in: self.hub,
            for: principal,
            from: client
        )
        defer { withExtendedLifetime(instances) {} }
        try await self.settle(instances, for: client, on: eventLoop)
        return await writer.perform(request, for: principal)
    }
}
