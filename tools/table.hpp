// Text in columns, for people.
#pragma once

#include <string>
#include <vector>

namespace flagos::tools {

// Pads every column to its widest cell; the last one is not padded.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { add(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text(const std::string& indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Safe to print: control characters and broken UTF-8 become '?'.
std::string printable(const std::string& text);

}  // namespace flagos::tools
