// What the rows of the machine table rest on: complete, and consistent with their specs.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "tests/support/machine.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::ArchRow;
using sim::Dispute;
using sim::DisputeSide;
using sim::Evidence;
using sim::EvidenceLevel;

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

TEST(ArchEvidence, LevelsHaveWhatTheyClaim) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const Evidence& e = row.evidence;
    const std::string_view gpus = e.gpus;
    EXPECT_NE(std::string_view(e.source), "");
    // Every row leaves something open: no recorded input has a NaN, and no model was replayed.
    EXPECT_NE(e.gaps, 0);
    if (e.level == EvidenceLevel::kHardware) {
      // Sets of 5,000 rows, one a GPU.
      const auto commas = std::count(gpus.begin(), gpus.end(), ',');
      EXPECT_FALSE(gpus.empty());
      EXPECT_EQ(e.vectors, 5000 * (commas + 1));
      EXPECT_TRUE(Contains(e.source, "VEC"));
      EXPECT_TRUE(e.gaps & sim::kNoSpecials);
      EXPECT_FALSE(e.gaps & sim::kFromModels);
    } else {
      EXPECT_EQ(e.vectors, 0);
      EXPECT_EQ(gpus, "");
      EXPECT_TRUE(e.gaps & sim::kFromModels);
      EXPECT_FALSE(e.gaps & (sim::kNoSpecials | sim::kZeroC | sim::kGroupFromBelow));
    }
    const bool from_model =
        Contains(e.source, "MM1") || Contains(e.source, "MM2") || Contains(e.source, "EMU");
    if (e.level == EvidenceLevel::kPublished) {
      EXPECT_TRUE(from_model) << e.source;
    }
    // Only a mixed or an emulated FP8 row is assumed, from a row that is replayed.
    if (e.level == EvidenceLevel::kAssumed) {
      EXPECT_EQ(row.spec.flow, sim::Flow::kInterleavedLateC);
    }
  }
}

// 48 sets of 5,000 rows, less the eight that copy another's outputs: six of the L40S (those of the
// RTX 1000 Ada), two of the H200 (those of the H100).
TEST(ArchEvidence, VectorsAreCountedOnce) {
  int vectors = 0;
  for (const ArchRow& row : sim::kArchTable) vectors += row.evidence.vectors;
  EXPECT_EQ(vectors, (48 - 8) * 5000);
}

TEST(ArchEvidence, GapsAndDisputesHaveTexts) {
  unsigned known = 0;
  std::set<std::string_view> names;
  for (const sim::GapText& gap : sim::kGapTexts) {
    EXPECT_EQ(known & gap.gap, 0u);
    known |= gap.gap;
    EXPECT_TRUE(names.insert(gap.name).second) << gap.name;
    EXPECT_NE(std::string_view(gap.text), "");
  }
  std::set<Dispute> disputed;
  for (const ArchRow& row : sim::kArchTable) {
    EXPECT_EQ(row.evidence.gaps & ~known, 0u) << test::Name(row);
    for (const DisputeSide& side : row.evidence.disputes) disputed.insert(side.dispute);
  }
  std::set<std::string_view> ids;
  for (const sim::DisputeText& text : sim::kDisputeTexts) {
    EXPECT_TRUE(ids.insert(text.id).second) << text.id;
    EXPECT_EQ(disputed.count(text.dispute), 1u) << text.id << ": no row is disputed on it";
    for (const char* field : {text.question, text.taken, text.other, text.probe})
      EXPECT_NE(std::string_view(field), "") << text.id;
    disputed.erase(text.dispute);
  }
  disputed.erase(Dispute::kNone);
  EXPECT_TRUE(disputed.empty()) << "a dispute without a text";
}

TEST(ArchEvidence, SourcesAreKnown) {
  for (const ArchRow& row : sim::kArchTable) {
    const std::string_view source = row.evidence.source;
    // Abbreviations are the words of capitals and digits; the names of GPUs are no sources.
    for (size_t at = 0; at < source.size();) {
      const size_t end = std::min(source.find_first_of(" ,;.'", at), source.size());
      const std::string_view word = source.substr(at, end - at);
      at = end + 1;
      const bool abbreviation =
          word.size() >= 3 && std::all_of(word.begin(), word.end(), [](char c) {
            return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
          });
      if (!abbreviation || word == "FP8" || word == "FP4" || word == "B200") continue;
      const bool known = std::any_of(std::begin(sim::kSources), std::end(sim::kSources),
                                     [&](const sim::Source& s) { return word == s.name; });
      EXPECT_TRUE(known) << test::Name(row) << ": " << word;
    }
  }
}

/// `to` with the fields of `from` that a dispute is about.
AccumSpec WithFieldsOf(Dispute dispute, AccumSpec to, const AccumSpec& from) {
  switch (dispute) {
    case Dispute::kClampFp32:
    case Dispute::kClampFp16:
    case Dispute::kBlockClamp: to.e_zero = from.e_zero; break;
    case Dispute::kUnderflow: to.signed_underflow = from.signed_underflow; break;
    case Dispute::kLateBits:
      to.sum_bits = from.sum_bits;
      to.final_bits = from.final_bits;
      break;
    case Dispute::kPairwise: to.flow = from.flow; break;
    case Dispute::kWmmaTf32: to.group = from.group; break;
    case Dispute::kNone: break;
  }
  return to;
}

TEST(ArchEvidence, SettingsAreTheDisputedFields) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    std::set<Dispute> seen;
    for (const DisputeSide& side : row.evidence.disputes) {
      if (side.dispute == Dispute::kNone) {
        EXPECT_EQ(std::string_view(side.setting), "");
        continue;
      }
      EXPECT_TRUE(seen.insert(side.dispute).second) << "twice";
      const AccumSpec other = test::With(row.spec, side.setting);
      EXPECT_FALSE(other == row.spec) << side.setting << " changes nothing";
      EXPECT_TRUE(WithFieldsOf(side.dispute, row.spec, other) == other)
          << side.setting << " changes something else";
    }
    EXPECT_FALSE(seen.contains(Dispute::kClampFp32) && row.spec.acc != fp8::kFP32);
    EXPECT_FALSE(seen.contains(Dispute::kClampFp16) && row.spec.acc != fp8::kFP16);
  }
}

// The values of the other sides, a second time.
TEST(ArchEvidence, SettingsAreTheOtherSides) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    for (const DisputeSide& side : row.evidence.disputes) {
      const AccumSpec other = test::With(row.spec, side.setting);
      const std::string_view instruction = row.instruction;
      switch (side.dispute) {
        case Dispute::kClampFp32:
        case Dispute::kBlockClamp: EXPECT_EQ(other.e_zero, -126); break;
        case Dispute::kClampFp16:
          EXPECT_EQ(other.e_zero, instruction == "wgmma" || instruction == "tcgen05"
                                      ? -133
                                      : row.spec.e_zero - 1);
          break;
        case Dispute::kUnderflow: EXPECT_TRUE(other.signed_underflow); break;
        case Dispute::kLateBits:
          EXPECT_EQ(other.sum_bits, 31);
          EXPECT_EQ(other.final_bits, 0);
          break;
        case Dispute::kPairwise: EXPECT_EQ(other.flow, sim::Flow::kTree); break;
        case Dispute::kWmmaTf32: EXPECT_EQ(other.group, 8); break;
        case Dispute::kNone: break;
      }
    }
  }
}

/// 2^(this) is the smallest nonzero product, scales included.
int SmallestProduct(const AccumSpec& s) {
  const auto smallest = [](fp8::Format f) { return fp8::MinExponent(f) - f.mantissa_bits; };
  return smallest(s.a) + smallest(s.b) + (s.block == 0 ? 0 : 2 * smallest(s.scale));
}

// wmma::mma_sync gave every recorded row of the 16-bit and TF32 mma.sync (numerics section 8).
TEST(ArchEvidence, RowsRecordedThroughWmmaSaySo) {
  for (const ArchRow& row : sim::kArchTable) {
    const bool through_wmma = row.evidence.level == EvidenceLevel::kHardware &&
                              std::string_view(row.instruction) == "mma.sync" &&
                              fp8::StorageBits(row.spec.a) > 8;
    EXPECT_EQ((row.evidence.gaps & sim::kThroughWmma) != 0, through_wmma) << test::Name(row);
  }
}

// The sign of an underflow is disputed where a sum can underflow, and nowhere else.
TEST(ArchEvidence, DisputedUnderflowsShow) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    const bool nvidia = !s.signed_underflow;
    const bool shows =
        nvidia && SmallestProduct(s) < fp8::MinExponent(s.acc) - s.acc.mantissa_bits;
    const bool disputed =
        std::any_of(std::begin(row.evidence.disputes), std::end(row.evidence.disputes),
                    [](const DisputeSide& d) { return d.dispute == Dispute::kUnderflow; });
    EXPECT_EQ(disputed, shows) << test::Name(row);
  }
}

// A clamp shows only if it can cut a product, so no row whose products are too large for that is
// disputed on it.
TEST(ArchEvidence, DisputedClampsShow) {
  for (const ArchRow& row : sim::kArchTable) {
    for (const DisputeSide& side : row.evidence.disputes) {
      const AccumSpec other = test::With(row.spec, side.setting);
      if (other.e_zero == row.spec.e_zero) continue;
      const int grid = std::max(row.spec.e_zero, other.e_zero) - row.spec.fraction_bits;
      EXPECT_LT(SmallestProduct(row.spec), grid) << test::Name(row) << '@' << side.setting;
    }
  }
}

}  // namespace
}  // namespace lostbits
