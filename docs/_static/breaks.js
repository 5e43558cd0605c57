// Long names in code may break behind a sign (_ . = / , -), and not within a word.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(".bd-article :not(pre) > code")) {
    const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) {
      const parts = text.data.split(/(?<=[_.=\/,|:-])(?=\w|\[|\{)/);
      if (parts.length > 1) text.replaceWith(...parts.flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part])));
    }
  }
});
