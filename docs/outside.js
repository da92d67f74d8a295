// In the book only: the pages also link to files beside docs/ (src, tests, design), which the book
// does not contain. There these links go to the repository. mdbook has made .html of .md in them.
const repository = document.querySelector('a[title="Git repository"]');
for (const link of document.querySelectorAll('main a[href^="../"]')) {
  const path = link.getAttribute("href").slice(3).replace(/\.html(?=#|$)/, ".md");
  link.href = `${repository.href}/blob/HEAD/${path}`;
}
