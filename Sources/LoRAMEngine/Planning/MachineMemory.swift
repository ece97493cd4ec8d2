import Foundation

extension Machine {
    /// Bytes of memory that the processes of this machine, or of this container or batch job, can have together: the machine's own, or
    /// the smallest limit of the control groups around this process.
    public static var memoryByteCount: Int {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let groups = (try? FileSystem.read("/proc/self/cgroup", limit: 1 << 16)) ?? []
        return controlGroupLimits(of: String(decoding: groups, as: UTF8.self)).reduce(physical, min)
    }

    /// Memory limits, of version 1 and 2, from /proc/self/cgroup's text: of each group and of those that it lies in. A container sees its
    /// own group as the root of the file system, so the bare root counts too.
    package static func controlGroupLimits(of text: String, root: String = "/sys/fs/cgroup") -> [Int] {
        var limits: [Int] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isUnified = fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
            let base = isUnified ? root : "\(root)/memory", name = isUnified ? "memory.max" : "memory.limit_in_bytes"
            var parts = fields[2].split(separator: "/").filter { $0 != ".." }
            while true {
                let path = ([base] + parts.map(String.init) + [name]).joined(separator: "/")
                // "max" and a number near 2^63 stand for no limit.
                if let bytes = try? FileSystem.read(path, limit: 64),
                    let limit = Int(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)), limit > 0
                {
                    limits.append(limit)
                }
                guard !parts.isEmpty else { break }
                parts.removeLast()
            }
        }
        return limits
    }
}
