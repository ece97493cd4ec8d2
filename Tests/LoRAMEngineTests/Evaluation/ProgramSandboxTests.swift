import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Programs of any kind harm nothing, and only those pass that come to their end.
@Suite(.enabled(if: ProgramSandbox.findPython() != nil, "python3 is absent"), .serialized) struct ProgramSandboxTests {
    /// Those that this machine can make.
    static let sandboxes: [ProgramSandbox] = ProgramSandbox.Jail.allCases.compactMap { try? ProgramSandbox.start(workers: 2, jails: [$0]) }

    private func run(_ sandbox: ProgramSandbox, _ programs: [String], seconds: Double = 5) throws -> [ProgramSandbox.Outcome] {
        var limits = ProgramSandbox.Limits()
        limits.seconds = seconds
        return try sandbox.run(programs, limits: limits)
    }

    /// Our children's children are the only ones that are started so.
    private func programsAlive() -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.filter { name in
            Int(name) != nil && FileManager.default.contents(atPath: "/proc/\(name)/cmdline").map { $0 == Data("python3\0-I\0-B\0-\0".utf8) } == true
        }.count
    }

    private func expectFailures(_ sandbox: ProgramSandbox, _ programs: [String], seconds: Double = 5) throws {
        for (program, outcome) in zip(programs, try run(sandbox, programs, seconds: seconds)) { #expect(outcome != .passed, "\(program)") }
        #expect(try run(sandbox, ["assert 1 + 1 == 2"]) == [.passed])
        #expect(programsAlive() == 0)
    }

    @Test func thisMachineCanMakeAJail() { #expect(!Self.sandboxes.isEmpty) }

    @Test(arguments: sandboxes) func programsEndAsTheyDeserve(_ sandbox: ProgramSandbox) throws {
        let cases: [(String, ProgramSandbox.Outcome)] = [
            ("assert 1 + 1 == 2", .passed), ("assert 1 + 1 == 3", .failed("AssertionError")), 
            ("raise ValueError('no')", .failed("ValueError: no")), ("import sys; sys.exit(0)", .failed("left before its end")),
            ("import sys; sys.exit(3)", .failed("exit code 3")), ("import os; os._exit(0)", .failed("left before its end")),
            ("import posix; posix.write(3, b'x')", .failed("left before its end")), ("input()", .failed("EOFError: EOF when reading a line")),
            ("import os; os.execv('/bin/sh', ['sh', '-c', 'exit 0'])", .failed("left before its end")),
            ("import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()", .passed),
            ("with open('file', 'w') as f: f.write('x')\nassert open('file').read() == 'x'", .passed),
            ("import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')", .passed),
            ("import ctypes; ctypes.string_at(0)", .failed("signal 11")), ("print('x' * 10000000)", .passed),
            ("import sys; sys.stderr.write('x' * 10000000); raise KeyError('end')", .failed("KeyError: 'end'")),
            ("s = 'ä' * 3\nassert len(s) == 3", .passed), ("x = '''\n\\0'''", .passed),
        ]
        let outcomes = try run(sandbox, cases.map(\.0))
        for (outcome, (program, expected)) in zip(outcomes, cases) { #expect(outcome == expected, "\(sandbox.jail) \(program)") }
    }

    @Test(arguments: sandboxes) func loopsEnd(_ sandbox: ProgramSandbox) throws {
        let programs = [
            "while True: pass", "import time; time.sleep(1000)",
            "import signal, time\nfor n in range(1, 64):\n try: signal.signal(n, signal.SIG_IGN)\n except Exception: pass\nwhile True: time.sleep(1)",
            "import threading\nfor i in range(10): threading.Thread(target=lambda: exec('while True: pass')).start()",
        ]
        let start = ContinuousClock.now
        #expect(try run(sandbox, programs, seconds: 0.7) == [.timedOut, .timedOut, .timedOut, .timedOut])
        #expect(ContinuousClock.now - start < .seconds(60))
        try expectFailures(sandbox, [])
    }

    @Test(arguments: sandboxes) func nothingIsForked(_ sandbox: ProgramSandbox) throws {
        try expectFailures(
            sandbox,
            [
                "import os; os.fork()", "import subprocess; subprocess.run(['true'], check=True)", "import os; assert os.system('true') == 0",
                "import os\nwhile True:\n try: os.fork()\n except OSError: pass", "import multiprocessing as m; p = m.Process(target=print); p.start(); p.join()",
                "import os; os.posix_spawn('/bin/true', ['true'], {})",
            ], seconds: 1)
    }

    @Test(arguments: sandboxes) func memoryHasABound(_ sandbox: ProgramSandbox) throws {
        let programs = ["x = bytearray(8 << 30)", "x = []\nwhile True: x.append(bytearray(1 << 24))", "x = 'a'\nwhile True: x += x"]
        try expectFailures(sandbox, programs)
        #expect(try run(sandbox, [programs[0]]) == [.failed("MemoryError")])
    }

    @Test(arguments: sandboxes) func filesStayAsTheyAre(_ sandbox: ProgramSandbox) throws {
        let directory = try TemporaryDirectory(), victim = directory.path("victim")
        try Data("precious".utf8).write(to: URL(fileURLWithPath: victim))
        chmod(victim, 0o666)
        chmod(directory.path, 0o777)
        let before = try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.hasPrefix("loram-program") }
        try expectFailures(
            sandbox,
            [
                "open('\(victim)', 'w').write('x')", "open('\(victim)', 'r+').truncate(0)", "import os; os.remove('\(victim)')", "import os; os.truncate('\(victim)', 0)",
                "import os; os.rename('\(victim)', '\(victim)2')", "import os; os.chmod('\(victim)', 0)", "open('\(directory.path)/new', 'w')",
                "import os; os.mkdir('\(directory.path)/new')", "import os; os.symlink('/', '\(directory.path)/link')", "import os; os.link('\(victim)', '\(directory.path)/link')",
                "import os; os.utime('\(victim)')", "import shutil; shutil.rmtree('\(directory.path)')", "open('/dev/shm/x', 'w')", "import os; os.mknod('x', 0o60666, 0)",
                // A disk that fills.
                "f = open('big', 'wb')\nfor i in range(1000): f.write(bytes(1 << 24)); f.flush()",
            ])
        #expect(try String(contentsOfFile: victim, encoding: .utf8) == "precious")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["victim"])
        #expect(try FileManager.default.attributesOfItem(atPath: victim)[.posixPermissions] as? Int == 0o666)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.hasPrefix("loram-program") } == before)
    }

    @Test(arguments: sandboxes) func thereIsNoNetwork(_ sandbox: ProgramSandbox) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port: UInt16 = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(listener, $0, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &size) == 0)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        try expectFailures(
            sandbox,
            [
                "import socket; socket.create_connection(('127.0.0.1', \(port)))", "import socket; socket.socket(socket.AF_UNIX)",
                "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', \(port)))", "import socket; socket.socketpair()",
                "import urllib.request; urllib.request.urlopen('http://127.0.0.1:\(port)')",
            ])
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        #expect(poll(&waiting, 1, 0) == 0, "somebody connected")
    }

    @Test(arguments: sandboxes) func nobodyElseIsTouched(_ sandbox: ProgramSandbox) throws {
        let other = Process()
        other.executableURL = URL(fileURLWithPath: "/bin/sleep")
        other.arguments = ["100"]
        try other.run()
        defer { other.terminate() }
        let pids = ["os.getppid()", "1", "-1", "0", "\(other.processIdentifier)", "\(getpid())"]
        try expectFailures(
            sandbox,
            pids.map { "import os\nos.kill(\($0), 9)" }
                + [
                    "import os; os.killpg(os.getpgid(0), 9)", "import signal; signal.raise_signal(9)", "import os; os.setsid()",
                    "import os, resource as r; r.prlimit(os.getppid(), r.RLIMIT_CPU, (0, 0))", "import os; os.setpriority(os.PRIO_PROCESS, \(other.processIdentifier), 19)",
                    "import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))",
                ])
        #expect(other.isRunning)
    }

    @Test(arguments: sandboxes) func manyAtATimeKeepTheirOrder(_ sandbox: ProgramSandbox) throws {
        let outcomes = try run(sandbox, (0..<30).map { "import time; time.sleep(\(30 - $0) / 300); assert \($0) % 3" })
        for (index, outcome) in outcomes.enumerated() { #expect((outcome == .passed) == (index % 3 != 0)) }
        #expect(try sandbox.run([]).isEmpty)
    }

    @Test func whatCannotStartIsSaid() {
        #expect(throws: SandboxError.self) { try ProgramSandbox.start(workers: 1, python: "/nonexistent/python3") }
        #expect(throws: SandboxError.self) { try ProgramSandbox.start(workers: 1, python: "/bin/true") }
    }
}
