import Foundation
import LoRAMEngine

/// What each rank of a job finds on its machine, how fast the machines reach each other, and what is badly set.
public enum Doctor {
    /// One rank's view. Text travels between ranks as JSON.
    public struct RankReport: Sendable, Equatable {
        public var rank: Int
        public var host: String
        /// Processors in the affinity mask, as "0-3,8"; of so many on line.
        public var processors: String
        public var processorCount: Int
        public var onlineCount: Int
        public var instructionSet: String
        public var kernels: String
        public var blasCore: String
        public var memoryByteCount: Int
        /// First digits of the program file's SHA-256.
        public var program: String
        /// Network interfaces that are up, with their IPv4 addresses.
        public var interfaces: String

        public var json: JSONValue {
            [
                "rank": .integer(rank), "host": .string(host), "processors": .string(processors), "processor_count": .integer(processorCount),
                "online": .integer(onlineCount), "instruction_set": .string(instructionSet), "kernels": .string(kernels),
                "openblas": .string(blasCore), "memory": .integer(memoryByteCount), "program": .string(program), "interfaces": .string(interfaces),
            ]
        }

        init(rank: Int, host: String) throws {
            self.rank = rank
            self.host = host
            processors = Machine.affinityList
            processorCount = Machine.availableProcessorCount
            onlineCount = Machine.onlineProcessorCount
            instructionSet = Machine.instructionSet
            kernels = try ComputeKernels(type: .bf16).name
            blasCore = BLASBackend.coreName
            memoryByteCount = Machine.memoryByteCount
            program = String(try ContentHash.sha256(file: "/proc/self/exe").prefix(12))
            interfaces = Machine.networkInterfaces.joined(separator: " ")
        }

        init?(_ json: JSONValue) {
            func text(_ key: String) -> String { json[key]?.stringValue ?? "" }
            func number(_ key: String) -> Int { json[key]?.intValue ?? 0 }
            guard json["rank"]?.intValue != nil else { return nil }
            (rank, host, processors, processorCount) = (number("rank"), text("host"), text("processors"), number("processor_count"))
            (onlineCount, instructionSet, kernels, blasCore) = (number("online"), text("instruction_set"), text("kernels"), text("openblas"))
            (memoryByteCount, program, interfaces) = (number("memory"), text("program"), text("interfaces"))
        }
    }

    /// Between the first ranks of two machines.
    public struct Link: Sendable, Equatable {
        public var from: String
        public var to: String
        public var microseconds: Double
        public var gigabytesPerSecond: Double

        public var json: JSONValue {
            ["from": .string(from), "to": .string(to), "latency_us": .double(microseconds), "gb_per_second": .double(gigabytesPerSecond)]
        }
    }

    public struct Report: Sendable {
        public var ranks: [RankReport]
        public var links: [Link]
        /// One line each: what is badly set and what to do.
        public var findings: [String]
        /// The mpirun line that starts this job well.
        public var launchLine: String

        public var json: JSONValue {
            [
                "ranks": .array(ranks.map(\.json)), "links": .array(links.map(\.json)), "findings": .array(findings.map { .string($0) }),
                "mpirun": .string(launchLine),
            ]
        }
    }

    /// All ranks call this; rank 0 gets the report, the others nil.
    ///
    /// - Parameters:
    ///   - linkSeconds: longest that one exchange between two machines may take before it counts as dead.
    ///     Where nothing at all moves for a minute longer, a watchdog ends the job: also messages between all ranks may never arrive.
    ///   - recipe: called on rank 0, for what else is to be found on the machines; nil: nothing.
    /// - Throws: `DoctorError.linkDead` naming the two ranks, their machines and interfaces.
    public static func run(_ runtime: MPIRuntime, linkSeconds: Double, recipe: (() throws -> Recipe)? = nil) throws -> Report? {
        let world = runtime.world, marker = ProgressMarker()
        let watchdog = Watchdog(marker: marker, limitSeconds: 60 + linkSeconds, rank: world.rank, host: runtime.host)
        defer { watchdog.stop() }
        marker.mark("looking at this machine")
        let own = try world.together { try RankReport(rank: world.rank, host: runtime.host) }
        marker.mark("gathering what the ranks found")
        let all = try world.allGather(Data(own.json.serialized().utf8)).compactMap { data in
            try? JSONValue.parse(String(decoding: data, as: UTF8.self))
        }.compactMap { RankReport($0) }
        var firsts: [Int] = [], hosts: Set<String> = []
        for report in all where hosts.insert(report.host).inserted { firsts.append(report.rank) }
        marker.mark("looking for the recipe's files")
        let files = try recipe.map { load in
            try RecipeFiles(try world.together { world.rank == 0 ? try load() : nil }, world: world, host: runtime.host)
        }
        let speeds = try LinkProbe(world: world, ranks: firsts, reports: all, limitSeconds: linkSeconds, marker: marker).run()
        marker.mark("gathering the links' speeds")
        let lines = try world.allGather(speeds.flatMap { [Double($0.peer), $0.microseconds, $0.gigabytesPerSecond] }.reduce(into: Data()) { data, value in
            withUnsafeBytes(of: value) { data.append(contentsOf: $0) }
        })
        guard world.rank == 0 else { return nil }
        var links: [Link] = []
        for (rank, data) in lines.enumerated() {
            let values = data.withUnsafeBytes { bytes in (0..<data.count / 8).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) } }
            for index in stride(from: 0, to: values.count, by: 3) where Int(values[index]) > rank {
                links.append(
                    Link(from: all[rank].host, to: all[Int(values[index])].host, microseconds: values[index + 1], gigabytesPerSecond: values[index + 2]))
            }
        }
        return Report(ranks: all, links: links, findings: findings(all, links) + (files?.findings ?? []), launchLine: launchLine(all))
    }

    static func findings(_ ranks: [RankReport], _ links: [Link]) -> [String] {
        var lines: [String] = []
        for (host, members) in Dictionary(grouping: ranks, by: \.host).sorted(by: { $0.key < $1.key }) {
            let online = members[0].onlineCount, bound = Set(members.map(\.processors))
            if members.count > online {
                lines.append("\(host): \(members.count) ranks on \(online) processors; start at most one rank a processor, better one a NUMA domain")
            } else if members.count > 1, bound.count == 1, members[0].processorCount < online {
                lines.append("\(host): all \(members.count) ranks are bound to the same processors \(members[0].processors) of \(online); use --map-by ppr:N:numa --bind-to numa")
            } else if members.contains(where: { $0.processorCount == 1 }), online > members.count {
                lines.append("\(host): ranks are bound to one of \(online) processors each; use --map-by slot:PE=\(online / members.count) --bind-to core, or --bind-to none")
            }
            if Set(members.map(\.program)).count > 1 { lines.append("\(host): ranks run different builds of loram-mpi") }
        }
        if let odd = ranks.first(where: { $0.program != ranks[0].program }) {
            lines.append("\(odd.host) runs another build of loram-mpi (\(odd.program)) than \(ranks[0].host) (\(ranks[0].program)); install one on all")
        }
        if let odd = ranks.first(where: { $0.kernels != ranks[0].kernels }) {
            lines.append("\(odd.host) has \(odd.kernels) kernels, \(ranks[0].host) \(ranks[0].kernels): all will use the lesser; group like machines for speed")
        }
        if let slow = links.min(by: { $0.gigabytesPerSecond < $1.gigabytesPerSecond }),
            let fast = links.max(by: { $0.gigabytesPerSecond < $1.gigabytesPerSecond }), slow.gigabytesPerSecond * 4 < fast.gigabytesPerSecond
        {
            lines.append(
                "\(slow.from) - \(slow.to): \(Formatting.fixed(slow.gigabytesPerSecond, decimals: 2)) GB/s where others reach "
                    + "\(Formatting.fixed(fast.gigabytesPerSecond, decimals: 2)); name the fast network in btl_tcp_if_include")
        }
        return lines
    }

    static func launchLine(_ ranks: [RankReport]) -> String {
        let hosts = Dictionary(grouping: ranks, by: \.host)
        let online = ranks.map(\.onlineCount).min() ?? 1, largest = hosts.values.map(\.count).max() ?? 1
        let threads = max(1, online / largest)
        let names = hosts.count > 1 ? "--host " + hosts.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.count)" }.joined(separator: ",") + " " : ""
        return "mpirun \(names)-np \(ranks.count) --map-by slot:PE=\(threads) --bind-to core loram-mpi ..."
    }
}

extension Doctor.Report: CustomStringConvertible {
    public var description: String {
        var lines = ranks.map { rank in
            "rank \(rank.rank) on \(rank.host): processors \(rank.processors) of \(rank.onlineCount), \(rank.instructionSet), kernels \(rank.kernels), "
                + "OpenBLAS \(rank.blasCore), \(Formatting.bytes(rank.memoryByteCount)), program \(rank.program), \(rank.interfaces)"
        }
        lines += links.map {
            "\($0.from) - \($0.to): \(Formatting.fixed($0.microseconds, decimals: 1)) us, \(Formatting.fixed($0.gigabytesPerSecond, decimals: 2)) GB/s"
        }
        lines += findings.isEmpty ? ["nothing is badly set"] : findings
        return (lines + [launchLine]).joined(separator: "\n")
    }
}

public enum DoctorError: DiagnosedError, Equatable {
    case linkDead(rank: Int, host: String, interfaces: String, peer: Int, peerHost: String, peerInterfaces: String, seconds: Double)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .linkDead(let rank, let host, let interfaces, let peer, let peerHost, let peerInterfaces, let seconds):
            "\(host) (\(interfaces)) and \(peerHost) (\(peerInterfaces)): expected rank \(peer) to answer rank \(rank) within "
                + "\(Formatting.fixed(seconds, decimals: 0)) s, found nothing; Open MPI took a dead interface: name the network in "
                + "--mca btl_tcp_if_include"
        }
    }
}
