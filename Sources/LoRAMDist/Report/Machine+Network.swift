import Foundation
internal import CLoRAMKernels

extension Machine {
    /// The affinity mask as the kernel lists it: "0-3,8".
    public static var affinityList: String {
        let status = (try? FileSystem.read("/proc/self/status", limit: 1 << 16)) ?? []
        for line in String(decoding: status, as: UTF8.self).split(separator: "\n") where line.hasPrefix("Cpus_allowed_list:") {
            return line.dropFirst("Cpus_allowed_list:".count).trimmingCharacters(in: .whitespaces)
        }
        return "unknown"
    }

    /// Network interfaces that are up, but for the loopback: "eth0=10.0.0.1".
    public static var networkInterfaces: [String] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var result: [String] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = entry.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET),
                entry.ifa_flags & UInt32(IFF_UP.rawValue) != 0, entry.ifa_flags & UInt32(IFF_LOOPBACK.rawValue) == 0
            else { continue }
            var text = [CChar](repeating: 0, count: Int(INET_ADDRSTRLEN))
            let found = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { internet -> Bool in
                var raw = internet.pointee.sin_addr
                return inet_ntop(AF_INET, &raw, &text, socklen_t(text.count)) != nil
            }
            guard found else { continue }
            let ip = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            result.append("\(String(cString: entry.ifa_name))=\(ip)")
        }
        return result
    }
}
