// `freshet healthcheck`: for container health checks, where there is no curl.

import ArgumentParser

struct HealthcheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck",
        abstract: "Exit with 0 when a gateway is ready, with 1 when it is not.",
        discussion: """
            Asks for /readyz. A gateway that drains is not ready.

            Example (Dockerfile):
              HEALTHCHECK CMD ["freshet", "healthcheck"]
            """
    )

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        // Readiness is no secret: the key that may have been found stays here.
        let address = self.gateway.target().address
        do throws(GatewayConnectionError) {
            let connection = try GatewayConnection(address, timeout: .seconds(5))
            let head = try connection.get("/readyz", fields: [], address: address)
            guard head.status == 200 else {
                throw GatewayConnectionError(description: "/readyz answered \(head.status)")
            }
            Terminal.print("ready")
        } catch {
            Terminal.complain("\(address) is not ready: \(error.description)")
            throw ExitCode(1)
        }
    }
}
