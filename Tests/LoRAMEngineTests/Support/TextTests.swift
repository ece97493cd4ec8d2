import LoRAMEngine
import Testing

@Suite struct TextTests {
    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("learning_rate", "learnig_rate", 1),
        ("rnak", "rank", 1), ("rank", "rank", 0), ("flaw", "lawn", 2),
    ])
    func editDistance(first: String, second: String, distance: Int) {
        #expect(NearestName.editDistance(first, second) == distance)
        #expect(NearestName.editDistance(second, first) == distance)
    }

    @Test func nearestNames() {
        let names = ["rank", "alpha", "dropout"]
        #expect(NearestName.find("rnak", among: names) == "rank")
        #expect(NearestName.findSimilar("droput", among: names) == "dropout")
        #expect(NearestName.findSimilar("zzzzzzzz", among: names) == nil)
        #expect(NearestName.find("zzzzzzzz", among: names) != nil)
        #expect(NearestName.find("x", among: [String]()) == nil)
    }

    @Test func aVeryLongNameIsCut() {
        #expect(NearestName.editDistance(String(repeating: "x", count: 1 << 20), "rank") == 256)
    }

    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-17_849_982_976, "-17,849,982,976"), (Int.min, "-9,223,372,036,854,775,808")])
    func groupedDigits(value: Int, text: String) {
        #expect(Formatting.grouped(value) == text)
    }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"), (10 << 20, "10.0 MiB"), (1023 << 20, "1023 MiB"),
        ((1 << 30) - 1, "1.00 GiB"), (33_000_000_000, "30.7 GiB"),
    ])
    func bytes(count: Int, text: String) {
        #expect(Formatting.bytes(count) == text)
    }

    static let spans: [(Double, String)] = [
        (0, "0.00 s"), (0.416, "0.42 s"), (7.34, "7.3 s"), (59.97, "1 m 00 s"), (185, "3 m 05 s"), (8040, "2 h 14 m"),
        (273_605, "3 d 04 h"), (-1, "0.00 s"), (.infinity, "-"), (.nan, "-"),
    ]

    @Test(arguments: spans)
    func seconds(value: Double, text: String) {
        #expect(Formatting.seconds(value) == text)
    }

    @Test(arguments: [(950.0, "950"), (0.25, "0.25"), (1200, "1.20 k"), (999.7, "1.00 k"), (17.8e9, "17.8 G")])
    func counts(value: Double, text: String) {
        #expect(Formatting.count(value) == text)
    }
}
