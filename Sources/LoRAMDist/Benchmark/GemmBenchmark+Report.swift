import LoRAMEngine

extension GemmBenchmark.Report: CustomStringConvertible {
    /// One object a row.
    public var json: JSONValue {
        .object([
            JSONMember("kernels", .string(kernels)), JSONMember("quant", .string(quantized ? "nf4" : "none")),
            JSONMember("rows", .array(rows.map(\.json))),
        ])
    }

    public var description: String {
        let products = rows.filter { $0.stream == nil }, streams = rows.filter { $0.stream != nil }
        var lines = ["kernels \(kernels), weights \(quantized ? "NF4" : "in the compute type")"]
        if !products.isEmpty {
            let heading = ["product", "type", "threads", "tokens", "outputs", "inputs", "ms", "GFLOP/s", "peak", "%"]
            lines += [""] + Formatting.table([heading] + products.map(\.cells), flushRight: Set(2..<heading.count))
        }
        if !streams.isEmpty {
            let heading = ["product", "type", "threads", "tokens", "outputs", "inputs", "ms", "GB/s of weights", "memcpy", "decoding", "multiply-adds", "%"]
            lines += [""] + Formatting.table([heading] + streams.map(\.cells), flushRight: Set(2..<heading.count))
        }
        return lines.joined(separator: "\n")
    }
}

extension GemmBenchmark.Row {
    public var json: JSONValue {
        var members = [
            JSONMember("product", .string(direction.rawValue)), JSONMember("compute", .string(compute.rawValue)),
            JSONMember("threads", .integer(threads)), JSONMember("tokens", .integer(shape.tokens)), JSONMember("outputs", .integer(shape.outputs)),
            JSONMember("inputs", .integer(shape.inputs)), JSONMember("seconds", .double(seconds)), JSONMember("gflops", .double(gigaflopsPerSecond)),
            JSONMember("peak_gflops", .double(peakGigaflopsPerSecond)),
        ]
        if let stream {
            members += [
                JSONMember("weight_bytes_per_second", .double(stream.bytesPerSecond)), JSONMember("memcpy_bytes_per_second", .double(stream.copyLimit)),
                JSONMember("decoding_bytes_per_second", stream.decodingLimit.map { .double($0) } ?? .null),
                JSONMember("multiplying_bytes_per_second", .double(stream.multiplyingLimit)),
                JSONMember("limit_bytes_per_second", .double(stream.limit)),
            ]
        }
        return .object(members + [JSONMember("fraction_of_limit", .double(fractionOfLimit))])
    }

    var cells: [String] {
        func gigabytes(_ bytes: Double?) -> String { bytes.map { Formatting.fixed($0 * 1e-9, decimals: 2) } ?? "-" }
        let start =
            [direction.rawValue, compute.rawValue] + [threads, shape.tokens, shape.outputs, shape.inputs].map(String.init)
            + [Formatting.fixed(seconds * 1e3, decimals: 2)]
        let percent = Formatting.fixed(fractionOfLimit * 100, decimals: 1)
        guard let stream else {
            return start + [gigaflopsPerSecond, peakGigaflopsPerSecond].map { Formatting.fixed($0, decimals: 1) } + [percent]
        }
        return start + [stream.bytesPerSecond, stream.copyLimit, stream.decodingLimit, stream.multiplyingLimit].map(gigabytes) + [percent]
    }
}
