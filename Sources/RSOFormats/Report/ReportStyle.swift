extension Report {
  /// People who confuse red and green can tell the colours apart (after Okabe and Ito); in print, dashes tell
  /// lines apart.
  static let style = """
    :root { color-scheme: light dark; --page: #f5f6f8; --back: #fff; --text: #1b1d22; --weak: #5c616b; --rule: #dfe2e8; --mark: 0, 114, 178;
      --c0: #0072b2; --c1: #d55e00; --c2: #007a55; --c3: #b0568b; --c4: #8a6d00; --c5: #3a3a3c; }
    @media (prefers-color-scheme: dark) { :root { --page: #0f1115; --back: #181b21; --text: #eceef2; --weak: #a2a8b4; --rule: #2e333d;
      --mark: 86, 180, 233; --c0: #56b4e9; --c1: #ff9a57; --c2: #2fc797; --c3: #e29cc6; --c4: #f0e442; --c5: #d8d8de; } }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--page); color: var(--text);
      font: .9375rem/1.5 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
    h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 650; letter-spacing: -.02em; margin: 0 0 .25rem; overflow-wrap: anywhere; }
    h2 { font-size: 1.2rem; font-weight: 650; letter-spacing: -.01em; margin: 2.75rem 0 .25rem; }
    h3 { font-size: 1rem; font-weight: 600; margin: 1.25rem 0 .5rem; }
    p { margin: .25rem 0 .75rem; max-width: 52rem; }
    .weak, figcaption { color: var(--weak); font-size: .875rem; }
    .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
    .card, .panel, .scroll { background: var(--back); border: 1px solid var(--rule); border-radius: 10px; }
    .card { padding: .8rem 1rem; }
    .card dt { color: var(--weak); font-size: .8125rem; } .card dd { margin: 0; }
    .card dd:nth-of-type(1) { font-size: 1.4rem; line-height: 1.35; white-space: nowrap; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
    .card .weak { font-size: .8125rem; line-height: 1.35; }
    .grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: .75rem; }
    .narrow { max-width: 36rem; }
    .small { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .75rem; }
    figure { margin: 0; break-inside: avoid; }
    .panel { padding: .75rem .9rem .6rem; }
    .panel figcaption { color: var(--text); font-weight: 600; margin-bottom: .4rem; }
    .small .panel { padding: .4rem .6rem; }
    svg { display: block; width: 100%; height: auto; }
    svg text { fill: var(--text); font: 11.5px Inter, system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
    svg text.weak { fill: var(--weak); font-size: 11.5px; } svg text.strong { font-weight: 600; }
    .grid { stroke: var(--rule); stroke-width: 1; } .axis, .tick { stroke: var(--weak); stroke-width: 1; opacity: .6; }
    .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
    .c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); stroke-dasharray: 7 4; } .c2 { stroke: var(--c2); stroke-dasharray: 2 4; }
    .c3 { stroke: var(--c3); stroke-dasharray: 9 4 2 4; } .c4 { stroke: var(--c4); stroke-dasharray: 4 5; } .c5 { stroke: var(--c5); }
    .b0 { fill: var(--c0); } .b1 { fill: var(--c1); } .b2 { fill: var(--c2); } .b3 { fill: var(--c3); } .b4 { fill: var(--c4); } .b5 { fill: var(--c5); }
    svg text.t0 { fill: var(--c0); } svg text.t1 { fill: var(--c1); } svg text.t2 { fill: var(--c2); } svg text.t3 { fill: var(--c3); }
    svg text.t4 { fill: var(--c4); } svg text.t5 { fill: var(--c5); }
    .dot { stroke: var(--back); stroke-width: 1; }
    .band { stroke: none; opacity: .16; }
    .hit > * { visibility: hidden; pointer-events: none; }
    .hit > rect:first-child { visibility: visible; fill: transparent; pointer-events: all; }
    .hit:hover > * { visibility: visible; }
    .guide { stroke: var(--weak); stroke-width: 1; } .tip { fill: var(--back); stroke: var(--rule); }
    .legend { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; margin: .25rem 0 .75rem; padding: 0; list-style: none; }
    .swatch { display: inline-block; width: 2rem; height: .75rem; margin-right: .5rem; vertical-align: -1px; }
    .scroll { overflow-x: auto; margin: .5rem 0; }
    table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; width: 100%; }
    th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
    tbody tr:last-child > * { border-bottom: 0; }
    tbody tr:hover > * { background-color: rgba(var(--mark), .07); }
    th:first-child, td:first-child { text-align: left; }
    thead th { font-weight: 600; color: var(--weak); }
    #results tbody tr:first-child td { font-weight: 600; }
    #settings thead { display: none; }
    #settings tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); column-gap: 1rem; }
    #settings tr { display: grid; grid-template-columns: 11rem 1fr; } #settings td { border: 0; white-space: normal; text-align: left; padding: .25rem .8rem; }
    #settings td:first-child { color: var(--weak); }
    .confusion { break-inside: avoid; }
    .confusion td, .confusion th { padding: .3rem .5rem; text-align: right; font-size: .8125rem; } .confusion .figure { color: var(--weak); }
    .pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .6rem; }
    .pictures img { width: 100%; max-width: 5.5rem; image-rendering: pixelated; border-radius: 4px; border: 1px solid var(--rule); }
    .pictures figcaption { font-size: .75rem; line-height: 1.25; }
    .filters { display: flex; flex-wrap: wrap; gap: 2rem; } .filters img { max-width: 100%; image-rendering: pixelated; border-radius: 4px; border: 1px solid var(--rule); }
    details { margin: .5rem 0; } summary { cursor: pointer; }
    @media print { :root { --page: #fff; --back: #fff; --text: #000; --weak: #444; --rule: #bbb; --mark: 0, 114, 178; --c0: #0072b2; --c1: #d55e00;
      --c2: #007a55; --c3: #b0568b; --c4: #8a6d00; --c5: #3a3a3c; } body { max-width: none; padding: 0; font-size: 10pt; }
      .scroll { overflow: visible; } h2, h3 { break-after: avoid; } tr, .small figure { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
    """
}
