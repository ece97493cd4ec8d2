import Glibc
internal import CLoRAMSandbox

/// The socket of one server; one thread at a time speaks through it.
final class SandboxWorker: Sendable {
    private let socket: Int32
    private let server: pid_t

    /// Forks the server. It keeps nothing of this process but the socket.
    ///
    /// - Throws: `SandboxError.noJail`.
    init(python: String, jail: ProgramSandbox.Jail) throws {
        var pid: pid_t = 0
        let kind = jail == .namespaces ? LORAM_JAIL_NAMESPACES : LORAM_JAIL_LANDLOCK
        socket = loram_sandbox_start(python, kind, &pid)
        server = pid
        guard socket >= 0 else { throw SandboxError.noJail(reason: "fork: \(String(cString: strerror(errno)))") }
    }

    deinit {
        guard socket >= 0 else { return }
        close(socket)
        waitpid(server, nil, 0)
    }

    /// - Throws: `SandboxError`.
    func run(_ program: String, _ limits: ProgramSandbox.Limits) throws -> ProgramSandbox.Outcome {
        // Who leaves early, with whatever code, does not get to the last line.
        let token = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let text = Array((program + "\n__import__('posix').write(3, b'\(token)')\n").utf8)
        var request = loram_program(
            byte_count: UInt32(text.count), timeout_ms: UInt32(limits.seconds * 1000), memory_bytes: UInt64(limits.memoryByteCount),
            file_bytes: UInt64(limits.fileByteCount))
        var result = loram_program_result()
        try withUnsafeBytes(of: &request) { try send($0) }
        try text.withUnsafeBytes { try send($0) }
        try withUnsafeMutableBytes(of: &result) { try receive($0) }
        var output = [UInt8](repeating: 0, count: Int(result.output_bytes))
        try output.withUnsafeMutableBytes { try receive($0) }

        switch UInt32(result.end) {
        case LORAM_PROGRAM_EXITED.rawValue where result.detail == 0:
            return Self.text(result.token) == token ? .passed : .failed("left before its end")
        case LORAM_PROGRAM_EXITED.rawValue:
            let lines = String(decoding: output, as: UTF8.self).split(whereSeparator: \.isNewline)
            return .failed(lines.last.map { String($0.prefix(200)).singleLine } ?? "exit code \(result.detail)")
        case LORAM_PROGRAM_SIGNALLED.rawValue: return .failed("signal \(result.detail)")
        case LORAM_PROGRAM_TIMED_OUT.rawValue: return .timedOut
        default: throw SandboxError.noJail(reason: "\(Self.text(result.step)): \(String(cString: strerror(result.detail)))")
        }
    }

    private static func text<Characters>(_ characters: Characters) -> String {
        withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) throws {
        try transfer(bytes.count) { Glibc.send(socket, bytes.baseAddress! + $0, bytes.count - $0, Int32(MSG_NOSIGNAL)) }
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer) throws {
        try transfer(bytes.count) { recv(socket, bytes.baseAddress! + $0, bytes.count - $0, 0) }
    }

    private func transfer(_ count: Int, _ call: (Int) -> Int) throws {
        var done = 0
        while done < count {
            let moved = call(done)
            if moved <= 0, moved == 0 || errno != EINTR { throw SandboxError.lost }
            done += max(moved, 0)
        }
    }
}
