/// A linear layer of a model that an adapter touches.
public struct AdapterModule: Sendable, Hashable {
    public var site: LinearSite
    /// 0 for `lm_head`.
    public var layer: Int

    public init(site: LinearSite, layer: Int) {
        self.site = site
        self.layer = site == .lmHead ? 0 : layer
    }

    public var aName: String { AdapterName.a(site, layer: layer) }
    public var bName: String { AdapterName.b(site, layer: layer) }

    /// All modules that `targets` select in a model, in the order of the forward pass: layer by layer, `lm_head` last.
    public static func all(targets: [LinearSite], config: LlamaConfig) -> [AdapterModule] {
        let inLayer = LinearSite.inLayer.filter(targets.contains)
        let layers = (0..<config.layerCount).flatMap { layer in inLayer.map { AdapterModule(site: $0, layer: layer) } }
        return layers + (targets.contains(.lmHead) ? [AdapterModule(site: .lmHead, layer: 0)] : [])
    }

    /// Reads `model.layers.3.self_attn.q_proj` or `lm_head`; nil for any other module.
    init?(modulePath: Substring) {
        let parts = modulePath.split(separator: ".", omittingEmptySubsequences: false)
        guard let site = parts.last.flatMap({ LinearSite(rawValue: String($0)) }) else { return nil }
        // Digits only, and few enough for any real model: Int's own parser would also take "+3".
        let digits = parts.count == 5 ? parts[2] : "0"
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let layer = Int(digits)
        else { return nil }
        self.init(site: site, layer: layer)
        guard site.modulePath(layer: layer) == modulePath else { return nil }
    }
}
