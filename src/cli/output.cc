#include "cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "fp8/codec.h"
#include "registry.h"

namespace lostbits::cli {

void CheckRange(std::string_view option, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    throw std::invalid_argument(
        fmt::format("{}: expected {} to {}, found {}", option, least, most, value));
}

void CheckEvidence(const Machine& machine, const GlobalOptions& global) {
  const sim::Evidence& e = machine.row->evidence;
  if (e.level == sim::EvidenceLevel::kAssumed && !global.allow_unverified)
    throw Failure(kNoEvidence, fmt::format("{} is {}; to compute with it, add --allow-unverified",
                                           machine.name, EvidenceText(e)));
}

void PrintEvidence(const Machine& machine, const GlobalOptions& global) {
  if (global.json) return;
  fmt::print(stderr, "lostbits: {}: {}{}\n", machine.name,
             machine.altered ? "altered for study; the row's evidence does not cover it: " : "",
             EvidenceText(machine.row->evidence));
}

Json EvidenceJson(const Machine& machine) {
  const sim::Evidence& e = machine.row->evidence;
  Json gaps = Json::array(), disputes = Json::array();
  for (const sim::GapText& gap : sim::kGapTexts) {
    if (e.gaps & gap.gap) gaps.push_back(gap.name);
  }
  for (const sim::DisputeSide& side : e.disputes) {
    if (const sim::DisputeText* d = DisputeOf(side))
      disputes.push_back({{"id", d->id}, {"question", d->question}, {"other_side", side.setting}});
  }
  return {{"machine", machine.name},
          {"altered", machine.altered},
          {"evidence", EvidenceName(e.level)},
          {"vectors", e.vectors},
          {"gpus", e.gpus},
          {"source", e.source},
          {"gaps", gaps},
          {"disputes", disputes},
          {"note", e.note}};
}

void PrintJson(std::string_view command, const Json& body) {
  Json all = {{"schema_version", kSchemaVersion}, {"command", command}};
  all.update(body);
  // Names from files may hold bytes that are no UTF-8: replaced, not thrown over.
  fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
}

void PrintReport(std::string_view command, const Report& report, const GlobalOptions& global) {
  for (const Machine& machine : report.machines) PrintEvidence(machine, global);
  if (global.json) {
    PrintJson(command, report.json);
  } else {
    fmt::print("{}", report.text);
  }
}

Json NumberJson(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

namespace {

template <class T>
std::string DecimalOf(T x) {
  if (std::isnan(x)) return "nan";
  return fmt::format("{}", x);
}

}  // namespace

std::string Decimal(double x) { return DecimalOf(x); }
std::string Decimal(float x) { return DecimalOf(x); }

double Percent(int64_t part, int64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}
std::string Share(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : fmt::format("{:.1f} %", Percent(part, whole));
}

std::string HexFloat(double x) { return std::isnan(x) ? "nan" : fmt::format("{:a}", x); }

double CodeValue(const fp8::Format& f, uint64_t code) {
  return f == fp8::kFP64 ? fp8::BitCast<double>(code) : double{fp8::Decode(f, code)};
}

std::optional<uint64_t> ParseHex(std::string_view word) {
  if (word.starts_with("0x") || word.starts_with("0X")) word.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::string HexCode(uint64_t code, int bits) {
  return fmt::format("0x{:0{}X}", code, (bits + 3) / 4);
}

int OutputWidth() {
  winsize size{};
  if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 120;
  return std::clamp<int>(size.ws_col, 80, 120);
}

void Table::AddColumn(std::string title, int flags) {
  titles_.push_back(std::move(title));
  flags_.push_back(flags);
}

void Table::AddRow(std::vector<std::string> cells) {
  if (cells.size() != titles_.size()) throw std::logic_error("a table row of the wrong length");
  rows_.push_back(std::move(cells));
}

std::string Table::Text(int width) const {
  constexpr size_t kGap = 2;
  constexpr size_t kLeastWrapped = 24;  // a narrower last column reads worse than none
  const size_t limit = static_cast<size_t>(width);
  std::vector<size_t> widths;
  for (size_t c = 0; c < titles_.size(); ++c) {
    size_t w = titles_[c].size();
    for (const auto& row : rows_) w = std::max(w, row[c].size());
    widths.push_back(w);
  }
  // Optional columns go from the right until the rest fits.
  std::vector<size_t> shown(titles_.size());
  for (size_t c = 0; c < shown.size(); ++c) shown[c] = c;
  const auto total = [&] {
    size_t sum = 0;
    for (size_t i = 0; i < shown.size(); ++i) {
      const size_t w = widths[shown[i]];
      sum += kGap + (i + 1 == shown.size() ? std::min(w, kLeastWrapped) : w);
    }
    return sum - kGap;
  };
  while (total() > limit) {
    const auto last = std::find_if(shown.rbegin(), shown.rend(),
                                   [&](size_t c) { return (flags_[c] & kOptional) != 0; });
    if (last == shown.rend()) break;
    shown.erase(std::next(last).base());
  }

  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (size_t i = 0; i < shown.size(); ++i) {
      const std::string& cell = cells[shown[i]];
      const size_t pad = widths[shown[i]] - std::min(widths[shown[i]], cell.size());
      if (i > 0) out.append(kGap, ' ');
      if (i + 1 == shown.size()) {
        if (flags_[shown[i]] & kRight) out.append(pad, ' ');
        const size_t room = limit > out.size() + 8 ? limit - out.size() : 8;
        out += Wrap(cell, static_cast<int>(room), std::string(out.size(), ' '));
      } else {
        out +=
            flags_[shown[i]] & kRight ? std::string(pad, ' ') + cell : cell + std::string(pad, ' ');
      }
    }
    out.erase(out.find_last_not_of(' ') + 1);
    text += out + '\n';
  };
  line(titles_);
  for (const auto& row : rows_) line(row);
  return text;
}

std::string Wrap(std::string_view text, int width, std::string_view indent) {
  std::string out;
  size_t column = 0;
  for (const std::string& word : Split(text, " ")) {
    if (column > 0 && column + 1 + word.size() > static_cast<size_t>(width)) {
      out += '\n';
      out += indent;
      column = 0;
    }
    if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

Progress::Progress(std::string what, int64_t total)
    : what_(std::move(what)), total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::Update(int64_t done) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (shown_ && done < total_ && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  shown_ = true;
  fmt::print(stderr, "\r{} {}/{} ", what_, done, total_);
  std::fflush(stderr);
}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace lostbits::cli
