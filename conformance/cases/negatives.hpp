// Wrong calls made from the description: which argument gets which value, and what must come back.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "conformance/cases/entries.hpp"

namespace flagos::conformance {

struct Negative {
  const Entry* entry;
  std::size_t argument;
  std::uint64_t value;
  std::set<flagos_status_t> statuses;
  std::string what;  // of the value: "NULL", "a stream"
};

std::vector<Negative> null_handles();
std::vector<Negative> null_in_pointers(const World& world);
std::vector<Negative> null_out_pointers(const World& world);
// Every live handle where a handle of another type belongs.
std::vector<Negative> wrong_type_handles(const World& world);
// `value` in every argument of this handle type.
std::vector<Negative> everywhere(Type type, std::uint64_t value, const std::string& what);
// The values that the description lists, for arguments of these kinds.
std::vector<Negative> listed_values(const std::set<Kind>& kinds);
// One of each kind for every argument: what the cases on side effects repeat.
std::vector<Negative> all_negatives(const World& world);

// Runs it and checks status, error text and cleared out parameters.
void check_negative(Context& t, World& world, const Negative& negative);
// Whether the world has what the call needs beside the wrong value.
bool applies(const Call& call, const Negative& negative);
bool applies(const Call& call);  // unspoilt
std::set<flagos_status_t> expected_of(const World& world, const Negative& negative);
// Two thirds of the error text rules: never NULL, at most 1023 bytes; "" only if nothing failed.
void check_error_text(Context& t, flagos_status_t status);
// Valid UTF-8 without control characters other than those of text.
bool is_utf8(const std::string& text);

}  // namespace flagos::conformance
