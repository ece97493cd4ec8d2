import LoRAMEngine
import Testing

struct ModelPlanTests {
    private static func plan(
        _ model: ModelPreset, _ method: PruningRecipe.Method, _ ratio: Double = 0.5, pattern: String = "4:8", quantized: Bool = false
    ) throws -> ModelPlan {
        var pruning = PruningRecipe()
        (pruning.method, pruning.ratio, pruning.pattern) = (method, ratio, pattern)
        return try ModelPlan(model.config, pruning, quantizer: quantized ? Quantizer() : nil)
    }

    private static func rounded(_ value: Double) -> Int { Int((value * 100).rounded()) }

    /// Model, ratio, parameters before and after, reduction and GiB in hundredths; then the same of 4 bit.
    static let structured: [(ModelPreset, Double, Int, Int, [Int], Int, [Int])] = [
        (.llama2_13B, 0.65, 13_015_864_320, 6_005_662_720, [217, 1119], 0, []),
        (.llama2_70B, 0.65, 68_976_648_192, 28_099_436_544, [245, 5234], 7_024_859_136, [982, 1308]),
        (.llama2_70B, 0.75, 68_976_648_192, 21_488_738_304, [321, 4003], 5_372_184_576, [1284, 1001]),
        (.llama2_70B, 0.85, 68_976_648_192, 16_272_924_672, [424, 3031], 4_068_231_168, [1695, 758]),
        (.llama2_70B, 0.95, 68_976_648_192, 9_662_226_432, [714, 1800], 2_415_556_608, [2856, 450]),
        (.llama31_70B, 0.85, 70_553_706_496, 17_849_982_976, [395, 3325], 4_462_495_744, [1581, 831]),
    ]

    @Test(arguments: structured.indices)
    func countsOfStructuredPruning(index: Int) throws {
        let (model, ratio, original, pruned, sizes, quarter, quarterSizes) = Self.structured[index]
        for method in [PruningRecipe.Method.rand, .stru] {
            let plan = try Self.plan(model, method, ratio)
            #expect(plan.originalParameters == original && plan.prunedParameters == pruned && plan.paperParameters == pruned)
            #expect([plan.reduction, Double(plan.paperBytes) / Double(1 << 30)].map(Self.rounded) == sizes)
            #expect(plan.paperBytes == 2 * pruned && plan.storedBytes == 2 * pruned)
            guard quarter > 0 else { continue }
            let quantized = try Self.plan(model, method, ratio, quantized: true)
            #expect(quantized.prunedParameters == pruned && quantized.paperParameters == quarter)
            #expect([quantized.reduction, Double(quantized.paperBytes) / Double(1 << 30)].map(Self.rounded) == quarterSizes)
            #expect(quantized.storedBytes > quantized.paperBytes)
        }
    }

    @Test func countsOfZeros() throws {
        let semi = try Self.plan(.llama2_13B, .semi)
        #expect(semi.prunedParameters == 6_671_979_520 && Self.rounded(semi.reduction) == 195)
        let unst = try Self.plan(.llama2_13B, .unst, 0.55)
        #expect(unst.prunedParameters == 6_037_591_040 && Self.rounded(unst.reduction) == 216)
        // Zeros are stored, so that nothing is saved.
        #expect(semi.storedBytes == semi.originalBytes && unst.trained == unst.original)
        #expect(try Self.plan(.llama2_13B, .semi, pattern: "2:4").prunedParameters == semi.prunedParameters)
        #expect(try Self.plan(.llama2_13B, .semi, pattern: "3:4").zeroCount == semi.zeroCount * 3 / 2)
    }

    @Test func storedBytesOfQuantized70B() throws {
        let plan = try Self.plan(.llama2_70B, .stru, 0.85, quantized: true)
        #expect(Self.rounded(Double(plan.storedBytes) / Double(1 << 30)) == 854)
        // Codes, a byte for 64 of them and 4 for 16,384 in the linear layers; bf16 elsewhere. Widths are no multiples of 64.
        let linears = 15_747_317_760, others = plan.prunedParameters - linears
        #expect(others == 2 * 32_000 * 8_192 + 161 * 8_192)
        #expect(abs(plan.storedBytes - (linears / 2 + linears / 64 + linears / 4_096 + 2 * others)) < 560 * 8)
    }

    @Test func parametersOfAdapters() throws {
        let plan = try Self.plan(.llama31_70B, .stru, 0.85)
        let counts = plan.adapterParameters(LoRAConfig(rank: 8, alpha: 16, targets: LinearSite.allCases))
        #expect(counts.trained == 53_169_984 && counts.recovered == 104_638_464)
        let half = plan.adapterParameters(LoRAConfig(rank: 4, alpha: 16, targets: LinearSite.allCases))
        #expect(half.trained * 2 == counts.trained)
        // Of q's A, all of B's rows that are left.
        #expect(plan.adapterParameters(LoRAConfig(rank: 8, alpha: 16, targets: [.q])).trained == 8 * (80 * 8_192 + 6 * 8_192 + 74 * 2_048))
    }

    @Test(arguments: PruningRecipe.Method.allCases)
    func ratioZeroPrunesNothing(method: PruningRecipe.Method) throws {
        for model in ModelPreset.allCases {
            let plan = try Self.plan(model, method, 0)
            #expect(plan.prunedParameters == plan.originalParameters && plan.reduction == 1 && plan.trained == model.config)
        }
    }

    @Test func whatCannotBePruned() throws {
        #expect(throws: PruningError.nothingLeft(part: "key-value head", count: 8, ratio: 0.99999)) { try Self.plan(.llama2_70B, .stru, 0.99999) }
        for method in PruningRecipe.Method.allCases {
            var pruning = PruningRecipe()
            (pruning.method, pruning.keepFirst, pruning.keepLast) = (method, 40, 40)
            #expect(throws: PruningError.keepsEveryLayer(keepFirst: 40, keepLast: 40, layerCount: 80)) {
                try ModelPlan(ModelPreset.llama2_70B.config, pruning)
            }
        }
    }

    /// What the paper prints and we count agree, but for its two known slips, and each difference has its reason.
    @Test func paperTables() throws {
        let tables = try PaperTables()
        #expect(Set(tables.rows.map(\.table)) == [4, 5, 6])
        for row in tables.rows {
            #expect(row.agrees == (row.remark == nil), "\(row.model) \(row.ratio)")
            #expect(Self.rounded(row.reduction) == Self.rounded(row.paperReduction), "\(row.model) \(row.ratio)")
            if let gib = row.paperGiB { #expect(Self.rounded(Double(row.plan.paperBytes) / Double(1 << 30)) == Self.rounded(gib)) }
        }
        #expect(tables.rows.filter { !$0.agrees }.map(\.method) == [.semi, .unst])
        #expect(tables.rows.filter { $0.method == nil }.map(\.original) == [.llama2_13B, .llama2_70B, .llama31_70B])
        #expect(tables.description.contains("6,671,979,520") && tables.json.arrayValue?.count == tables.rows.count)
    }
}
