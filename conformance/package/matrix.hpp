// One page that compares reports: chips by features, categories and figures.
#pragma once

#include <string>
#include <vector>

#include "conformance/package/stored_report.hpp"

namespace flagos::conformance {

struct MatrixEntry {
  StoredReport report;
  std::string link;  // to its report.html, relative to the page; "" when there is none
};

// Static, without scripts and network: read by a person, a screen reader, a phone.
std::string make_matrix(const std::vector<MatrixEntry>& entries);

}  // namespace flagos::conformance
