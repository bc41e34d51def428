// Sorts a table by the column whose button is pressed; cells say in data-value what they are sorted by.
(function () {
  "use strict";
  function compare(one, other) {
    const a = Number(one), b = Number(other);
    return Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other, undefined, { numeric: true }) : a - b;
  }
  function sort(table, column, descending) {
    const rows = Array.from(table.tBodies[0].rows);
    const key = (row) => row.cells[column].dataset.value;
    rows.sort((one, other) => {
      const a = key(one), b = key(other);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return descending ? compare(b, a) : compare(a, b);
    });
    table.tBodies[0].append(...rows);
  }
  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), table = button.closest("table");
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, head.cellIndex, descending);
    });
  }
})();
