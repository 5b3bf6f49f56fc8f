extension Report {
  /// People who confuse red and green can tell the colours apart (after Okabe and Ito); in print, dashes tell
  /// lines apart.
  static let style = """
    :root { color-scheme: light dark; --back: #fff; --text: #1c1c1e; --weak: #63636b; --rule: #dcdce2; --mark: 0, 114, 178;
      --c0: #0072b2; --c1: #d55e00; --c2: #007a55; --c3: #b0568b; --c4: #8a6d00; --c5: #3a3a3c; }
    @media (prefers-color-scheme: dark) { :root { --back: #17171a; --text: #ececf0; --weak: #a4a4ae; --rule: #37373f;
      --mark: 86, 180, 233; --c0: #56b4e9; --c1: #ff9a57; --c2: #2fc797; --c3: #e29cc6; --c4: #f0e442; --c5: #d8d8de; } }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 1rem; max-width: 68rem; background: var(--back); color: var(--text);
      font: 1rem/1.5 system-ui, sans-serif; }
    h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
    h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
    h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
    p { margin: .25rem 0 .75rem; }
    .weak, figcaption { color: var(--weak); font-size: .9rem; }
    .grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
    .narrow { max-width: 34rem; }
    .small { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .5rem; }
    figure { margin: 0; break-inside: avoid; }
    svg { display: block; width: 100%; height: auto; }
    svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
    .grid { stroke: var(--rule); stroke-width: 1; }
    .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
    .c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); stroke-dasharray: 7 3; } .c2 { stroke: var(--c2); stroke-dasharray: 2 3; }
    .c3 { stroke: var(--c3); stroke-dasharray: 9 3 2 3; } .c4 { stroke: var(--c4); stroke-dasharray: 4 4; } .c5 { stroke: var(--c5); }
    .b0 { fill: var(--c0); } .b1 { fill: var(--c1); } .b2 { fill: var(--c2); } .b3 { fill: var(--c3); } .b4 { fill: var(--c4); }
    .b5 { fill: var(--c5); } .dot { fill: currentColor; }
    .band { stroke: none; opacity: .2; }
    .legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0 .75rem; padding: 0; list-style: none; }
    .legend svg { display: inline-block; width: 2rem; height: .75rem; margin-right: .4rem; }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
    th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
    th:first-child, td:first-child { text-align: left; }
    thead th { font-weight: 600; }
    #settings td { white-space: normal; } #settings th, #settings td { text-align: left; }
    .confusion { break-inside: avoid; }
    .confusion td, .confusion th { padding: .2rem .4rem; text-align: right; font-size: .85rem; }
    .pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .5rem; }
    .pictures img { width: 100%; max-width: 5.5rem; image-rendering: pixelated; border: 1px solid var(--rule); }
    .pictures figcaption { font-size: .75rem; line-height: 1.2; }
    .filters img { max-width: 100%; image-rendering: pixelated; border: 1px solid var(--rule); }
    details { margin: .5rem 0; } summary { cursor: pointer; }
    @media print { :root { --back: #fff; --text: #000; --weak: #444; --rule: #bbb; --mark: 0, 114, 178; --c0: #0072b2; --c1: #d55e00;
      --c2: #007a55; --c3: #b0568b; --c4: #8a6d00; --c5: #3a3a3c; } body { max-width: none; padding: 0; font-size: 10pt; }
      .scroll { overflow: visible; } h2, h3 { break-after: avoid; } tr, .small figure { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
    """
}
