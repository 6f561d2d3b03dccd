// What a reader does with a browser beside clicking: keys, another size, another scheme of colours.

extension Browser {
    /// Presses a key and lets it go: `Tab`, `Enter`, `Escape`, or a character.
    ///
    /// - Throws: `TestingError` where the browser does not answer in time.
    package func press(_ key: String) async throws {
        let codes = ["Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37]
        var parameters: [String: any Sendable] = ["type": "keyDown", "key": key, "code": key]
        if let code = codes[key] { parameters["windowsVirtualKeyCode"] = code }
        if key == "Enter" { parameters["text"] = "\r" }
        if key.count == 1 { parameters["text"] = key }
        _ = try await self.command("Input.dispatchKeyEvent", parameters)
        parameters["type"] = "keyUp"
        parameters["text"] = nil
        _ = try await self.command("Input.dispatchKeyEvent", parameters)
    }

    /// Shows pages in a window of this size, in dark colours where `isDark`.
    ///
    /// - Throws: `TestingError` where the browser does not answer in time.
    package func show(width: Int, height: Int, isDark: Bool = false) async throws {
        let size: [String: any Sendable] = [
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        ]
        _ = try await self.command("Emulation.setDeviceMetricsOverride", size)
        let scheme = ["name": "prefers-color-scheme", "value": isDark ? "dark" : "light"]
        _ = try await self.command("Emulation.setEmulatedMedia", ["features": [scheme]])
    }
}
