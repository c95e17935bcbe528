// The record of a run: one JSON object per line, each with the hash of the line before, on disk
// before the run goes on.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace flagos::conformance {

class EventLog {
 public:
  // Writes nowhere; the chain is computed all the same.
  EventLog() = default;
  // Starts a new file. Throws std::runtime_error that names the file.
  static EventLog create(const std::string& path);
  // Goes on with a file that is there; a last line that was cut off is removed.
  // Throws std::runtime_error when the chain is broken, naming the line.
  static EventLog resume(const std::string& path);

  EventLog(EventLog&& other) noexcept;
  EventLog& operator=(EventLog&& other) noexcept;
  ~EventLog();

  // What the file held when it was opened.
  const std::vector<nlohmann::json>& loaded() const { return loaded_; }
  // Adds "prev", writes the line and waits until it is on disk.
  void append(nlohmann::json event);
  // The first line that was written or loaded.
  const nlohmann::json& header() const { return header_; }
  // Names the run: the first 16 digits of the hash of its first line.
  const std::string& run() const { return run_; }
  // The hash of the last line: whoever knows it can check the whole file.
  const std::string& root() const { return previous_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  nlohmann::json header_;
  std::string run_;
  std::string previous_ = std::string(64, '0');
  std::vector<nlohmann::json> loaded_;
};

// The name of a run whose first line has this hash.
std::string run_name(const std::string& hash);

// The events of a complete log text. Throws std::runtime_error naming the first line that does not
// fit the chain. `out_used` is the size of the part that ends with a newline; a rest behind it is a
// line that was cut off.
std::vector<nlohmann::json> read_event_chain(const std::string& text, std::size_t* out_used,
                                             std::string* out_root);

}  // namespace flagos::conformance
