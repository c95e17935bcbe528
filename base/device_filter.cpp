#include "base/device_filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace flagos {
namespace {

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) letter = lower(letter);
  return result;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char letter) { return letter >= '0' && letter <= '9'; });
}

std::string hex(const FilterDevice& device) {
  std::string digits;
  for (const std::uint8_t byte : device.uuid) digits += fmt::format("{:02x}", byte);
  return digits;
}

bool matches_uuid(std::string_view prefix, const FilterDevice& device) {
  std::string wanted = lower(prefix);
  std::erase(wanted, '-');
  return !wanted.empty() && hex(device).starts_with(wanted);
}

bool matches(std::string_view entry, std::size_t index, const FilterDevice& device) {
  constexpr std::string_view uuid = "uuid:";
  if (is_number(entry)) {
    std::size_t number = 0;
    const auto result = std::from_chars(entry.data(), entry.data() + entry.size(), number);
    return result.ec == std::errc() && number == index;
  }
  if (lower(entry.substr(0, uuid.size())) == uuid) return matches_uuid(entry.substr(uuid.size()), device);
  return lower(device.name).find(lower(entry)) != std::string::npos;
}

std::string describe(std::span<const FilterDevice> devices) {
  if (devices.empty()) return "there is no device";
  std::string text = "there is";
  for (std::size_t i = 0; i < devices.size(); ++i)
    text += fmt::format("{} {}: '{}' (uuid:{})", i == 0 ? "" : ",", i, devices[i].name, hex(devices[i]));
  return text;
}

}  // namespace

DeviceSelection select_devices(std::string_view variable, std::string_view filter,
                               std::span<const FilterDevice> devices) {
  DeviceSelection selection;
  std::vector<bool> taken(devices.size());
  bool is_empty = true;
  while (!filter.empty()) {
    const auto comma = std::min(filter.find(','), filter.size());
    const std::string_view entry = trim(filter.substr(0, comma));
    filter.remove_prefix(std::min(comma + 1, filter.size()));
    if (entry.empty()) continue;
    is_empty = false;
    bool found = false;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (!matches(entry, i, devices[i])) continue;
      found = true;
      if (!taken[i]) selection.indices.push_back(i);
      taken[i] = true;
    }
    if (!found)
      selection.warnings.push_back(fmt::format("{}: '{}' matches no device; {}", variable, entry, describe(devices)));
  }
  for (std::size_t i = 0; is_empty && i < devices.size(); ++i) selection.indices.push_back(i);
  return selection;
}

}  // namespace flagos
