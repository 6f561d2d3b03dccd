// Instances of addresses that requests choose (CONTRACT §14): made and forgotten as those of a template.

import FreshetConfiguration
import FreshetCore
import FreshetPolling
import Synchronization

extension InstanceDesk {
    /// Has addresses polled by these settings from now on; `nil` for no longer. What was made under other settings is forgotten,
    /// so that its streams end and its clients are judged by the new ones.
    func apply(_ settings: GatewayConfiguration.Streamdata?) {
        let name = StreamdataTarget.template
        let isSame = self.state.withLock { state in
            let known = state.templates[name].flatMap { $0.isForTargets ? $0 : nil }
            guard known?.targets != settings else { return true }
            // No instance is made between the two steps.
            if known != nil { state.templates[name] = nil }
            return false
        }
        guard !isSame else { return }
        self.forgetAll(of: name)
        guard let settings, let template = Self.template(of: settings) else { return }
        self.state.withLock { state in
            var entry = Template(source: settings.base, template: template, group: state.nextGroup())
            entry.isForTargets = true
            entry.targets = settings
            state.templates[name] = entry
        }
    }

    /// Counts and bounds as those of any template. Nobody has the claim, and no instance is made of its URL.
    private static func template(of settings: GatewayConfiguration.Streamdata) -> SourceTemplate? {
        var source = settings.base
        source.url = "http://localhost/{token}/{target}"
        let parameters = ["token", "target"].map { SourceTemplate.Parameter(name: $0, claim: "streamdata token") }
        var template = try? SourceTemplate(of: source, parameters: parameters, fieldNames: [])
        template?.maxInstances = settings.maxInstances
        template?.maxInstancesPerCaller = settings.maxInstancesPerToken
        template?.linger = settings.linger
        return template
    }

    /// The instance of an address, made if there is none, and held until the hold is gone.
    func hold(_ target: StreamdataTarget) -> Result<SourceHold, InstanceRefusal> {
        self.state.withLock { state in
            // Looked at once more: a reload may have come between.
            guard let template = state.templates[target.name.template],
                template.targets?.allow.entry(for: target.address) != nil
            else { return .failure(.unknown) }
            let patience = template.source.timeout
            if let instance = state.instances[target.name.text] {
                if instance.target == nil { state.instances[target.name.text]?.target = target }
                return .success(self.hold(instance, patience: patience, &state))
            }
            let caller = Caller(token: target.token, template: target.name.template)
            if let refusal = self.makeRoom(for: caller, in: template, &state) {
                state.templates[target.name.template]?.figures.refused[refusal, default: 0] += 1
                return .failure(refusal)
            }
            let source = target.source(from: template.source)
            guard let id = self.make(source, named: target.name, for: caller, &state) else {
                return .failure(.unknown)
            }
            state.instances[target.name.text]?.target = target
            let hold = self.hub.hold(id, patience: patience).hold
            self.want(target.name.text, &state)
            return .success(hold)
        }
    }
}
