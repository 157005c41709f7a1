//! A report as headings, texts, tables and charts; written as HTML, or without its charts as Markdown.

use std::fmt::Write;

use super::chart::{css_color, css_line};

pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

pub enum Block {
    Text(String),
    Table(Table),
    Charts(Vec<Chart>),
    /// What the colours of the charts mean: names and colours.
    Legend(Vec<(String, usize)>),
    /// Folded together at first.
    Details(String, Vec<Block>),
    Code(String),
}

pub struct Chart {
    pub caption: String,
    pub svg: String,
}

/// The first column is flushed left, the others right.
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Self {
        Self {
            head: head.map(str::to_owned).to_vec(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "\
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 0.8rem 0; font-size: 0.9rem; display: block; overflow-x: auto; }
th, td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #e2e2e2; font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #999; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
figure { display: inline-block; margin: 0.4rem 0.6rem 0.4rem 0; vertical-align: top; } figcaption { font-size: 0.85rem; color: #444; }
svg { max-width: 100%; height: auto; }
.legend { list-style: none; padding: 0; } .legend li { display: inline-block; margin-right: 1.4rem; }
.legend span { display: inline-block; width: 1.8rem; margin-right: 0.4rem; vertical-align: middle; border-top: 4px; }
summary { cursor: pointer; margin: 0.4rem 0; } pre { background: #f5f5f5; padding: 0.6rem; overflow-x: auto; font-size: 0.85rem; }
";

/// One page that needs nothing else: styles and pictures are in it, and there is no script.
pub fn html(title: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for section in sections {
        page += &format!("<h2>{}</h2>\n", escape(&section.title));
        section.blocks.iter().for_each(|b| html_block(&mut page, b));
    }
    page += "</body>\n</html>\n";
    page
}

// Writing to a string cannot fail.
fn html_block(page: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            let _ = writeln!(page, "<p>{}</p>", escape(text));
        }
        Block::Code(text) => {
            let _ = writeln!(page, "<pre>{}</pre>", escape(text));
        }
        Block::Table(table) => {
            let row = |cells: &[String], tag: &str| -> String {
                let cells = cells
                    .iter()
                    .map(|c| format!("<{tag}>{}</{tag}>", escape(c)));
                format!("<tr>{}</tr>\n", cells.collect::<String>())
            };
            let rows: String = table.rows.iter().map(|r| row(r, "td")).collect();
            let head = row(&table.head, "th");
            let _ = writeln!(
                page,
                "<table>\n<thead>{head}</thead>\n<tbody>{rows}</tbody>\n</table>"
            );
        }
        Block::Charts(charts) => {
            for Chart { caption, svg } in charts {
                let caption = escape(caption);
                let _ = writeln!(
                    page,
                    "<figure>\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>"
                );
            }
        }
        Block::Legend(names) => {
            page.push_str("<ul class=\"legend\">\n");
            for (name, color) in names {
                let (style, color, name) = (css_line(*color), css_color(*color), escape(name));
                let _ = writeln!(
                    page,
                    "<li><span style=\"border-top-style: {style}; border-top-color: {color}\"></span>{name}</li>"
                );
            }
            page.push_str("</ul>\n");
        }
        Block::Details(summary, blocks) => {
            let _ = writeln!(page, "<details>\n<summary>{}</summary>", escape(summary));
            blocks.iter().for_each(|b| html_block(page, b));
            page.push_str("</details>\n");
        }
    }
}

/// The same without its charts.
pub fn markdown(title: &str, sections: &[Section]) -> String {
    let mut page = format!("# {title}\n");
    for section in sections {
        let blocks = || section.blocks.iter();
        let drawn = |b: &Block| matches!(b, Block::Charts(_) | Block::Details(..));
        // A sentence about charts says nothing without them.
        if blocks().any(drawn) && !blocks().any(|b| matches!(b, Block::Table(_))) {
            continue;
        }
        let mut text = String::new();
        section
            .blocks
            .iter()
            .for_each(|b| markdown_block(&mut text, b));
        if !text.is_empty() {
            let _ = write!(page, "\n## {}\n{text}", section.title);
        }
    }
    page
}

fn markdown_block(page: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            let _ = write!(page, "\n{text}\n");
        }
        Block::Table(table) => {
            let row = |cells: &[String]| {
                let cells: Vec<_> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
                format!("| {} |\n", cells.join(" | "))
            };
            let rule = format!("| --- |{}\n", " ---: |".repeat(table.head.len().max(1) - 1));
            let rows: String = table.rows.iter().map(|r| row(r)).collect();
            let _ = write!(page, "\n{}{rule}{rows}", row(&table.head));
        }
        Block::Charts(_) | Block::Legend(_) | Block::Details(..) | Block::Code(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_tables_keep_their_cells() {
        let sections = [Section {
            title: "a & b".into(),
            blocks: vec![
                Block::Table(Table::new(["x", "y"], vec![["<1>".into(), "p|q".into()]])),
                Block::Details("more".into(), vec![Block::Code("x = \"<\"".into())]),
                Block::Legend(vec![("one".into(), 0), ("eighth".into(), 7)]),
            ],
        }];
        let page = html("t", &sections);
        let tree = roxmltree::Document::parse(page.trim_start_matches("<!DOCTYPE html>"));
        let tree = tree.expect("XML");
        let texts: Vec<_> = tree
            .descendants()
            .filter(|n| n.has_tag_name("td"))
            .filter_map(|n| n.text())
            .collect();
        assert_eq!(texts, ["<1>", "p|q"]);
        assert!(page.contains("border-top-style: dashed"));
        assert_eq!(
            markdown("t", &sections),
            "# t\n\n## a & b\n\n| x | y |\n| --- | ---: |\n| <1> | p\\|q |\n"
        );
    }
}
