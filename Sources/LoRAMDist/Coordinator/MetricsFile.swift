import LoRAMEngine

/// Appends rows to metrics.jsonl, and to TensorBoard's file, as updates complete.
public final class MetricsWriter {
    private let file: AppendedFile
    private let events: EventWriter?

    /// - Throws: `FileError.cannotWrite`.
    public init(_ path: String, events: EventWriter? = nil) throws {
        file = try AppendedFile(path)
        self.events = events
    }

    /// - Throws: `FileError.cannotWrite`.
    public func append(_ row: MetricsRow) throws {
        try file.append(row.json.serialized())
        try events?.append(row)
    }

    /// - Throws: `FileError.cannotWrite`.
    public func append(_ row: EvaluationRow) throws {
        try file.append(row.json.serialized())
        try events?.append(row)
    }

    /// Makes the rows durable. To be called before a commit, so that no row up to it can be lost.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public func sync() throws { try file.sync() }
}

/// metrics.jsonl of an earlier start.
struct MetricsFile {
    let path: String

    init(_ path: String) {
        self.path = path
    }

    /// The last step of a phase that the file has a row of.
    ///
    /// - Throws: `FileError`.
    func lastStep(of phase: Recipe.Phase) throws -> Int? {
        var last: Int?
        try forEachRow { row, _ in
            if row.phase == phase.rawValue { last = max(last ?? 0, row.step) }
        }
        return last
    }

    /// Removes the phase's rows beyond a step, and everything from the first line on that a killed process left unfinished.
    ///
    /// - Throws: `FileError`.
    func cut(phase: Recipe.Phase, beyond step: Int) throws {
        guard FilePath.exists(path) else { return }
        var kept: [UInt8] = []
        let size = try forEachRow { row, line in
            if row.phase != phase.rawValue || row.step <= step {
                kept.append(contentsOf: line)
                kept.append(UInt8(ascii: "\n"))
            }
        }
        if kept.count != size { try OutputFile.write(kept, to: path) }
    }

    /// Calls `body` with every whole row up to the first line that is none; returns the file's size.
    @discardableResult
    private func forEachRow(_ body: ((step: Int, phase: String), UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        guard FilePath.exists(path) else { return 0 }
        let bytes = try FileSystem.read(path, limit: 1 << 32)
        try bytes.withUnsafeBytes { buffer in
            var start = 0
            while start < buffer.count, let newline = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = UnsafeRawBufferPointer(rebasing: buffer[start..<newline])
                guard let row = try? JSONValue.parse(line), let step = row["step"]?.intValue, let phase = row["phase"]?.stringValue else { return }
                try body((step, phase), line)
                start = newline + 1
            }
        }
        return bytes.count
    }
}
