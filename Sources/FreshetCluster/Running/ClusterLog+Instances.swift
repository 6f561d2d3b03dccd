// Instances of templates: what this node wants of the cluster.

extension ClusterLog {
    /// Somebody reads an instance at this node: the cluster makes it, where it does not have it yet.
    package func want(_ name: String, _ record: InstanceRecord) {
        self.perform { machine, now in machine.instanceWanted(name, record, now: now) }
    }

    /// These are the instances that somebody reads at this node, and no others.
    package func read(instances names: Set<String>) {
        self.perform { machine, _ in machine.instancesRead(names) }
    }

    /// Nobody has read an instance at any node for long, or it is none of this node's any more. Where this node owns it, or no
    /// node does, it is gone once that is in the stream; otherwise nothing happens.
    package func end(_ name: String) {
        self.perform { machine, now in machine.instanceEnded(name, now: now) }
    }
}
