import Foundation
internal import CLoRAMKernels
internal import COpenBLAS

/// What must be settled before anything else in the process, in particular before MPI_Init.
public enum ProcessStart {
    private static let marker = "LORAM_OPENBLAS_CHECKED"
    /// Forces OpenBLAS's kernels for this program: one of its core types, such as `Haswell`.
    private static let userChoice = "LORAM_OPENBLAS_CORETYPE"

    /// Starts the program again with OPENBLAS_CORETYPE set where the loaded OpenBLAS chose other kernels than all hosts of this kind of CPU
    /// are to have: older ones, or those of a sibling, whose last bits differ. Hosts need not have the same environment.
    ///
    /// OpenBLAS reads the variable when it is loaded, so nothing but a new exec changes its choice. Older releases do not know
    /// newer CPUs and fall back to AVX2 kernels: half the speed on an AVX-512 machine. A site-wide OPENBLAS_CORETYPE is often set for
    /// the sake of other programs; LORAM_OPENBLAS_CORETYPE is for this one and is obeyed.
    public static func useBestBLASKernels() {
        BLASBackend.useOneThread()
        guard getenv(marker) == nil else { return }
        let chosen = getenv(userChoice).map { String(cString: $0) }
        if let chosen, chosen.lowercased() == BLASBackend.coreName.lowercased() { return }
        guard let wanted = chosen ?? betterCoreType() else { return }
        setenv("OPENBLAS_CORETYPE", wanted, 1)
        setenv("OPENBLAS_NUM_THREADS", "1", 1)
        setenv(marker, "1", 1)
        var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        execv("/proc/self/exe", &arguments)
        // exec failed: go on with the slower kernels, which are just as correct.
        for argument in arguments { free(argument) }
    }

    /// The core type to ask for: the plainest one that uses this CPU's widest vectors; nil when that is OpenBLAS's own choice.
    static func betterCoreType() -> String? {
        let chosen = BLASBackend.coreName.lowercased()
        return switch String(cString: loram_isa_name()) {
        case "avx512" where chosen != "skylakex": "SKYLAKEX"
        case "avx2" where chosen != "haswell": "HASWELL"
        default: nil
        }
    }
}

/// The machine as the kernels see it.
public enum Machine {
    /// "avx512", "avx2" or "baseline".
    public static var instructionSet: String { String(cString: loram_isa_name()) }

    /// Processors that this process may run on (its affinity mask).
    public static var availableProcessorCount: Int { max(1, Int(loram_available_processors())) }

    /// Processors that are on line in this machine.
    public static var onlineProcessorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Largest resident set of this program so far, MiB.
    public static var peakResidentMiB: Double {
        // getrusage also counts what the process held before exec: where it was spawned, its parent's memory.
        let status = (try? FileSystem.read("/proc/self/status", limit: 1 << 16)) ?? []
        let fields = String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmHWM:") }?.split(whereSeparator: \.isWhitespace)
        if let fields, fields.count == 3, let kibibytes = Double(fields[1]) { return kibibytes / 1024 }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    }

    /// Resident set of this process now, bytes: its own memory with what it shares with other processes, and pages of mapped files,
    /// program and libraries among them. Zeros where the system does not say.
    public static var residentMemory: (own: Int, file: Int) {
        let status = String(decoding: (try? FileSystem.read("/proc/self/status", limit: 1 << 16)) ?? [], as: UTF8.self)
        var bytes: [Substring: Int] = [:]
        for line in status.split(separator: "\n") where line.hasPrefix("Rss") {
            let fields = line.split(whereSeparator: { $0 == ":" || $0.isWhitespace })
            if fields.count > 1 { bytes[fields[0]] = (Int(fields[1]) ?? 0) << 10 }
        }
        return (bytes["RssAnon", default: 0] + bytes["RssShmem", default: 0], bytes["RssFile", default: 0])
    }

    /// A launcher (mpirun, srun) started this process as one of several.
    public static var isLaunched: Bool {
        ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains { (name: String) in getenv(name) != nil }
    }

    /// Page faults of this process so far that waited for a disk.
    public static var majorPageFaultCount: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_majflt
    }
}
