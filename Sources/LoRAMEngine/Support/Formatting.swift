import Foundation

/// Numbers as people read them. Independent of locale, so that logs and tables are the same everywhere.
public enum Formatting {
    /// `17849982976` as `17,849,982,976`.
    public static func grouped(_ value: Int) -> String {
        let digits = Array(String(value.magnitude))
        var text = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// A number of bytes in binary units with three significant digits or more: `512 B`, `1.50 KiB`, `12.8 GiB`.
    public static func bytes(_ count: Int) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        if count.magnitude < 1024 { return "\(count) B" }
        var value = Double(count) / 1024
        var unit = 0
        // 1023.5 and more would print as four digits: the next unit reads better.
        while abs(value) >= 1023.5, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        return "\(threeDigits(value)) \(units[unit])"
    }

    /// A count in decimal units: `950`, `1.20 k`, `17.8 G`.
    public static func count(_ value: Double) -> String {
        let units = ["", " k", " M", " G", " T", " P"]
        var value = value
        var unit = 0
        while abs(value) >= 999.5, unit + 1 < units.count {
            value /= 1000
            unit += 1
        }
        if unit == 0, value == value.rounded() { return fixed(value, decimals: 0) }
        return threeDigits(value) + units[unit]
    }

    /// A time span in two units: `0.42 s`, `7.3 s`, `3 m 05 s`, `2 h 14 m`, `3 d 04 h`.
    public static func seconds(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "-" }
        if seconds < 1 { return "\(fixed(max(seconds, 0), decimals: 2)) s" }
        if seconds < 59.95 { return "\(fixed(seconds, decimals: 1)) s" }
        let whole = Int(min(seconds.rounded(), 1e15))
        if whole < 3600 { return "\(whole / 60) m \(twoDigits(whole % 60)) s" }
        if whole < 86400 { return "\(whole / 3600) h \(twoDigits(whole % 3600 / 60)) m" }
        return "\(whole / 86400) d \(twoDigits(whole % 86400 / 3600)) h"
    }

    /// `value` with a fixed number of decimals, `.` as the decimal sign.
    public static func fixed(_ value: Double, decimals: Int) -> String {
        String(format: "%.\(decimals)f", value)
    }

    private static func threeDigits(_ value: Double) -> String {
        let magnitude = abs(value)
        return fixed(value, decimals: magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0)
    }

    private static func twoDigits(_ value: Int) -> String {
        value < 10 ? "0\(value)" : "\(value)"
    }
}
