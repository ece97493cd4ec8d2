/// The model sizes that the method's authors print (arXiv 2502.13533, tables 4, 5 and 6), beside ours.
public struct PaperTables: Sendable {
    public struct Row: Sendable {
        /// 4, 5 or 6.
        public let table: Int
        public let model: ModelPreset
        /// nil for a smaller model that serves as the baseline.
        public let method: PruningRecipe.Method?
        public let ratio: Double
        public let isQuantized: Bool
        /// As printed: parameters (of QLoRAM rows, a quarter of those that are left), and how many times smaller that is.
        public let paperParameters: Int
        public let paperReduction: Double
        /// As printed, of bf16 numbers.
        public let paperGiB: Double?
        /// Of the model that the row is compared with.
        public let original: ModelPreset
        /// The same by this program.
        public let plan: ModelPlan
        /// Why the two differ; nil where they do not.
        public let remark: String?

        public var parameters: Int { plan.paperParameters }
        public var reduction: Double { Double(original.config.parameterCount) / Double(parameters) }
        public var agrees: Bool { parameters == paperParameters }
    }

    public let rows: [Row]

    /// - Throws: nothing in truth: every row is a setting that can be.
    public init() throws {
        var rows: [Row] = []
        func add(
            _ table: Int, _ model: ModelPreset, _ method: PruningRecipe.Method?, _ ratio: Double = 0, of original: ModelPreset? = nil,
            quantized: Bool = false, _ parameters: Int, _ reduction: Double, _ gib: Double? = nil, _ remark: String? = nil
        ) throws {
            var pruning = PruningRecipe()
            pruning.method = method ?? .rand
            pruning.ratio = ratio
            rows.append(
                Row(
                    table: table, model: model, method: method, ratio: ratio, isQuantized: quantized, paperParameters: parameters,
                    paperReduction: reduction, paperGiB: gib, original: original ?? model,
                    plan: try ModelPlan(model.config, pruning, quantizer: quantized ? Quantizer() : nil), remark: remark))
        }
        try add(4, .llama2_7B, nil, of: .llama2_13B, 6_738_415_616, 1.93)
        try add(
            4, .llama2_13B, .semi, 0.5, 6_738_415_616, 1.95, nil,
            "the table repeats 7B's size by mistake; half of every linear layer's weights leave 6,671,979,520, and that is the 1.95 of table 1")
        try add(
            4, .llama2_13B, .unst, 0.55, 6_037_628_912, 2.16, nil,
            "the authors counted the zeros of one mask, of which a few more or less depend on the calibration data; ours is the expected number")
        try add(4, .llama2_13B, .rand, 0.65, 6_005_662_720, 2.17, 11.19)
        try add(4, .llama2_13B, .stru, 0.65, 6_005_662_720, 2.17, 11.19)
        try add(5, .llama2_13B, nil, of: .llama2_70B, 13_015_864_320, 5.30)
        for (ratio, whole, reduction, gib, quarter, times, quarterGiB) in [
            (0.65, 28_099_436_544, 2.45, 52.34, 7_024_859_136, 9.82, 13.08), (0.75, 21_488_738_304, 3.21, 40.03, 5_372_184_576, 12.84, 10.01),
            (0.85, 16_272_924_672, 4.24, 30.31, 4_068_231_168, 16.95, 7.58), (0.95, 9_662_226_432, 7.14, 18.00, 2_415_556_608, 28.56, 4.50),
        ] {
            try add(5, .llama2_70B, .stru, ratio, whole, reduction, gib)
            try add(5, .llama2_70B, .stru, ratio, quantized: true, quarter, times, quarterGiB)
        }
        try add(6, .llama31_8B, nil, of: .llama31_70B, 8_030_261_248, 8.79)
        try add(6, .llama31_70B, .stru, 0.85, 17_849_982_976, 3.95, 33.25)
        try add(6, .llama31_70B, .stru, 0.85, quantized: true, 4_462_495_744, 15.81, 8.31)
        self.rows = rows
    }

    /// What holds for all rows of a kind.
    static let storedRemark =
        "stored: the paper counts every parameter of a QLoRAM model as 4 bit, embedding and head too. Here those and the norms stay bf16, and "
        + "4-bit weights have scales (1 byte for 64, 4 for 16,384). Non-structured methods store their zeros: their reduction is theoretical."
}

extension PaperTables: CustomStringConvertible {
    public var json: JSONValue {
        .array(
            rows.map { row in
                [
                    "table": .integer(row.table), "model": .string(row.model.rawValue), "method": row.method.map { .string($0.rawValue) } ?? .null,
                    "ratio": .double(row.ratio), "quantization": row.isQuantized ? "nf4" : "none", "compared_with": .string(row.original.rawValue),
                    "paper_parameters": .integer(row.paperParameters), "parameters": .integer(row.parameters), "agrees": .bool(row.agrees),
                    "paper_reduction": .double(row.paperReduction), "reduction": .double(row.reduction),
                    "paper_gib": row.paperGiB.map { .double($0) } ?? .null, "gib": .double(Double(row.plan.paperBytes) / Double(1 << 30)),
                    "stored_bytes": .integer(row.plan.storedBytes), "remark": row.remark.map { .string($0) } ?? .null,
                ]
            })
    }

    public var description: String {
        var table = TextTable(["", "model", "method", "ratio", "paper", "ours", "paper x", "ours x", "paper GiB", "ours GiB", "stored GiB", ""])
        var last = 0
        for row in rows {
            table.add([
                row.table == last ? "" : "table \(row.table)", row.model.rawValue, (row.isQuantized ? "Q-" : "") + (row.method?.rawValue ?? "whole"),
                row.method == nil ? "" : Formatting.fixed(row.ratio, decimals: 2), Formatting.grouped(row.paperParameters),
                Formatting.grouped(row.parameters), Formatting.fixed(row.paperReduction, decimals: 2), Formatting.fixed(row.reduction, decimals: 2),
                row.paperGiB.map { Formatting.fixed($0, decimals: 2) } ?? "", Self.gib(row.plan.paperBytes), Self.gib(row.plan.storedBytes),
                row.agrees ? "same" : "differs",
            ])
            last = row.table
        }
        let remarks = rows.filter { !$0.agrees }.map { row in
            "table \(row.table), \(row.model.rawValue) \(row.method?.rawValue ?? ""): \(row.remark ?? "")"
        }
        return ([table.text] + remarks + [Self.storedRemark]).joined(separator: "\n")
    }

    private static func gib(_ bytes: Int) -> String { Formatting.fixed(Double(bytes) / Double(1 << 30), decimals: 2) }
}
