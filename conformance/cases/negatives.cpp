#include "conformance/cases/negatives.hpp"

#include <cstring>

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// What a wrong handle may give. Outside the child of a fork, abandoning is refused whatever is
// handed over.
std::set<flagos_status_t> refused(const Entry& entry) {
  std::set<flagos_status_t> statuses{FLAGOS_STATUS_INVALID_HANDLE};
  if (entry.name == "flagos_runtime_abandon") statuses.insert(FLAGOS_STATUS_NOT_PERMITTED);
  return statuses;
}

template <class Select>
std::vector<Negative> null_pointers(const World& world, Select select) {
  std::vector<Negative> made;
  for (const Entry& entry : entries())
    for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
      const Argument& argument = entry.arguments[i];
      if (!select(argument)) continue;
      std::set<flagos_status_t> statuses{FLAGOS_STATUS_INVALID_ARGUMENT};
      if (argument.optional) statuses = expected_when_valid(world, entry);
      made.push_back({&entry, i, 0, std::move(statuses), "NULL"});
    }
  return made;
}

void append(std::vector<Negative>& to, std::vector<Negative> from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::vector<Negative> null_handles() {
  std::vector<Negative> made;
  for (const Entry& entry : entries())
    for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
      if (!entry.arguments[i].is_handle()) continue;
      auto statuses = refused(entry);
      if (entry.arguments[i].kind == Kind::taken || entry.arguments[i].optional) {
        statuses.erase(FLAGOS_STATUS_INVALID_HANDLE);
        statuses.insert(ok);
      }
      made.push_back({&entry, i, 0, std::move(statuses), "NULL"});
    }
  return made;
}

std::vector<Negative> null_in_pointers(const World& world) {
  return null_pointers(world, [](const Argument& argument) { return argument.is_in_pointer(); });
}

std::vector<Negative> null_out_pointers(const World& world) {
  return null_pointers(world, [](const Argument& argument) { return argument.is_out_pointer(); });
}

std::vector<Negative> everywhere(Type type, std::uint64_t value, const std::string& what) {
  std::vector<Negative> made;
  for (const Entry& entry : entries())
    for (std::size_t i = 0; i < entry.arguments.size(); ++i)
      if (entry.arguments[i].is_handle() && entry.arguments[i].type == type)
        made.push_back({&entry, i, value, refused(entry), what});
  return made;
}

std::vector<Negative> wrong_type_handles(const World& world) {
  std::vector<Negative> made;
  for (const Type wanted : all_types())
    for (const Type given : all_types())
      if (given != wanted && world.handle(given) != 0)
        append(made, everywhere(wanted, world.handle(given), "a " + name_of(given)));
  return made;
}

std::vector<Negative> listed_values(const std::set<Kind>& kinds) {
  std::vector<Negative> made;
  for (const Entry& entry : entries())
    for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
      const Argument& argument = entry.arguments[i];
      if (!kinds.contains(argument.kind)) continue;
      for (const Point& point : argument.points)
        made.push_back({&entry, i, point.value, point.statuses, std::to_string(point.value)});
    }
  return made;
}

std::vector<Negative> all_negatives(const World& world) {
  std::vector<Negative> made = null_handles();
  append(made, null_in_pointers(world));
  append(made, null_out_pointers(world));
  append(made,
         listed_values({Kind::size, Kind::number, Kind::enumeration, Kind::flags, Kind::address}));
  for (const Type wanted : all_types()) {
    const Type given = wanted == Type::event ? Type::stream : Type::event;
    append(made, everywhere(wanted, world.handle(given), "a " + name_of(given)));
  }
  // Those that do nothing wrong belong to other cases.
  std::erase_if(made, [](const Negative& negative) { return negative.statuses.contains(ok); });
  return made;
}

bool applies(const Call& call, const Negative& negative) {
  for (std::size_t i = 0; i < call.values.size(); ++i)
    if (i != negative.argument && call.entry.arguments[i].is_handle() && call.values[i] == 0)
      return false;
  return true;
}

bool applies(const Call& call) {
  return applies(call, {&call.entry, call.values.size(), 0, {}, ""});
}

std::set<flagos_status_t> expected_of(const World& world, const Negative& negative) {
  auto statuses = negative.statuses;
  const Entry& entry = *negative.entry;
  // Which of two reasons comes first is not laid down: the wrong value, or the feature that is
  // absent.
  const bool absent = entry.needs != FLAGOS_FEATURE_COUNT && !world.has(entry.needs);
  if (absent || entry.valid_statuses.contains(FLAGOS_STATUS_UNSUPPORTED))
    statuses.insert(FLAGOS_STATUS_UNSUPPORTED);
  return statuses;
}

void check_error_text(Context& t, flagos_status_t status) {
  const char* const text = flagos_last_error();
  t.check(text != nullptr, "flagos_last_error is never NULL");
  const std::size_t length = std::strlen(text);
  t.check(length <= 1023, "the error text has at most 1023 bytes, found " + std::to_string(length));
  t.check(is_utf8(text), "the error text is UTF-8");
  if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER)
    t.check(length > 0, "a failing call leaves an error text");
}

void check_negative(Context& t, World& world, const Negative& negative) {
  Call call(world, *negative.entry);
  if (!applies(call, negative)) return;
  t.subcase(negative.entry->name + ", " + negative.entry->arguments[negative.argument].name +
            " = " + negative.what);
  call.values[negative.argument] = negative.value;
  const auto expected = expected_of(world, negative);
  const flagos_status_t status = call.run();
  t.check(expected.contains(status), "expected " + names_of(expected) + ", got " +
                                         flagos_status_get_name(status) + ": " +
                                         flagos_last_error());
  if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER) return;
  check_error_text(t, status);
  // The size that is needed is the answer of a call with too little room.
  if (status == FLAGOS_STATUS_BUFFER_TOO_SMALL) return;
  const std::string uncleared = call.uncleared();
  t.check(uncleared.empty(), "a failing call clears its out parameters, it left " + uncleared);
}

bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    i += length;
  }
  return true;
}

}  // namespace flagos::conformance
